//! Which way up a picture is, as cameras and TIFF say it.

use super::RgbPixels;
use super::tiff::Directory;

/// Where row and column 0 of the stored picture are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Orientation {
    /// Rows become columns, before anything is mirrored.
    transposed: bool,
    /// Left and right change places.
    across: bool,
    /// Top and bottom change places.
    down: bool,
    number: u8,
}

impl Orientation {
    /// By the number of EXIF's tag, 1 to 8; any other means as stored.
    pub(super) fn from_exif(number: u64) -> Self {
        let (transposed, across, down) = match number {
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, true, false),
            7 => (true, true, true),
            8 => (true, false, true),
            _ => (false, false, false),
        };
        Self {
            transposed,
            across,
            down,
            number: if (1..=8).contains(&number) {
                number as u8
            } else {
                1
            },
        }
    }

    /// That of a block of EXIF, a TIFF directory.
    pub(super) fn of_exif(block: &[u8]) -> Self {
        let block = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
        let number = Directory::first(block).and_then(|directory| directory.number(274));
        Self::from_exif(number.unwrap_or(1))
    }

    /// EXIF's number.
    pub(super) fn number(self) -> u8 {
        self.number.max(1)
    }

    /// Width and height as shown.
    pub(super) fn size<T>(self, (width, height): (T, T)) -> (T, T) {
        if self.transposed {
            (height, width)
        } else {
            (width, height)
        }
    }

    /// The picture as it is to be seen.
    pub(super) fn apply(self, picture: RgbPixels) -> RgbPixels {
        let (width, height) = self.size((picture.width, picture.height));
        if !self.transposed && !self.across && !self.down {
            return picture;
        }
        let (pixels, _) = picture.data.as_chunks::<3>();
        let mut data = Vec::with_capacity(picture.data.len());
        for y in 0..height {
            let y = if self.down { height - 1 - y } else { y };
            for x in 0..width {
                let x = if self.across { width - 1 - x } else { x };
                let place = if self.transposed {
                    x * picture.width + y
                } else {
                    y * picture.width + x
                };
                data.extend(pixels.get(place).copied().unwrap_or_default());
            }
        }
        RgbPixels {
            width,
            height,
            data,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_turns_as_exif_says() {
        // 1 2 3
        // 4 5 6
        let data = (1..=6).flat_map(|level| [level; 3]).collect();
        let picture = RgbPixels {
            width: 3,
            height: 2,
            data,
        };
        for (number, width, levels) in [
            (1, 3, [1, 2, 3, 4, 5, 6]),
            (2, 3, [3, 2, 1, 6, 5, 4]),
            (3, 3, [6, 5, 4, 3, 2, 1]),
            (4, 3, [4, 5, 6, 1, 2, 3]),
            (5, 2, [1, 4, 2, 5, 3, 6]),
            (6, 2, [4, 1, 5, 2, 6, 3]),
            (7, 2, [6, 3, 5, 2, 4, 1]),
            (8, 2, [3, 6, 2, 5, 1, 4]),
            (9, 3, [1, 2, 3, 4, 5, 6]),
        ] {
            let turned = Orientation::from_exif(number).apply(picture.clone());
            let found: Vec<u8> = turned.data.iter().step_by(3).copied().collect();
            assert_eq!((turned.width, found), (width, levels.to_vec()), "{number}");
        }
    }
}
