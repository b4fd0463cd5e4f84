//! What the frame header of a JPEG says, and which parts of the image its scans have given.

use super::super::error::Cause;

/// Most blocks of a group, by the standard and by libjpeg.
const MOST_BLOCKS: usize = 10;

/// How the samples are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Process {
    Sequential,
    Progressive,
    Lossless,
}

/// What the components are, by libjpeg's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colours {
    Grey,
    YCbCr,
    Rgb,
    Cmyk,
    Ycck,
}

impl Colours {
    /// JFIF knows YCbCr only; then Adobe's marker counts; then what the components call themselves.
    pub(super) fn of(frame: &Frame, jfif: bool, adobe: Option<u8>) -> Self {
        let ids: Vec<u8> = frame.components.iter().map(|one| one.id).collect();
        match (ids.as_slice(), adobe) {
            ([_], _) => Self::Grey,
            ([_, _, _], _) if jfif => Self::YCbCr,
            ([_, _, _], Some(0)) | (b"RGB", None) => Self::Rgb,
            ([_, _, _, _], Some(0) | None) => Self::Cmyk,
            ([_, _, _, _], Some(_)) => Self::Ycck,
            _ => Self::YCbCr,
        }
    }

    /// Where another file says so.
    pub(super) fn said(frame: &Frame, ycbcr: bool) -> Self {
        match frame.components.len() {
            1 => Self::Grey,
            4 => Self::Cmyk,
            _ if ycbcr => Self::YCbCr,
            _ => Self::Rgb,
        }
    }

    /// How Adobe's marker says so.
    pub(super) fn transform(self) -> Option<u8> {
        match self {
            Self::Grey => None,
            Self::Rgb | Self::Cmyk => Some(0),
            Self::YCbCr => Some(1),
            Self::Ycck => Some(2),
        }
    }
}

pub(super) struct Component {
    pub(super) id: u8,
    /// Samples in a row, of each group of blocks.
    pub(super) across: u8,
    /// Rows of samples, of each group of blocks.
    pub(super) down: u8,
    pub(super) quantization: u8,
    /// Whether a scan has been there.
    pub(super) begun: bool,
    /// The lowest bit that progressive scans have given of each coefficient.
    bits: [Option<u8>; 64],
}

/// The frame header.
pub(super) struct Frame {
    pub(super) code: u8,
    pub(super) process: Process,
    pub(super) arithmetic: bool,
    pub(super) precision: u8,
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) components: Vec<Component>,
    pub(super) colours: Colours,
}

/// A component in the header of a scan.
pub(super) struct Selected {
    pub(super) index: usize,
    /// Numbers of its Huffman tables.
    dc: u8,
    ac: u8,
}

/// The header of a scan.
pub(super) struct Scan {
    pub(super) components: Vec<Selected>,
    /// First and last coefficient.
    from: u8,
    to: u8,
    /// The lowest bit before and after.
    high: u8,
    low: u8,
    /// Whether these are as they must be, if the scan is a sequential one.
    pub(super) usual: bool,
}

fn corrupt(what: String) -> Cause {
    Cause::Corrupt(what)
}

impl Frame {
    pub(super) fn read(code: u8, content: &[u8]) -> Result<Self, Cause> {
        let process = match code {
            0xC0 | 0xC1 | 0xC9 => Process::Sequential,
            0xC2 | 0xCA => Process::Progressive,
            0xC3 | 0xCB => Process::Lossless,
            code => {
                return Err(corrupt(format!(
                    "JPEG process FF{code:02X} is not supported"
                )));
            }
        };
        let [precision, h1, h0, w1, w0, count, rest @ ..] = content else {
            return Err(Cause::Truncated("its frame header breaks off".to_owned()));
        };
        let (described, []) = rest.as_chunks::<3>() else {
            return Err(corrupt("its frame header breaks off".to_owned()));
        };
        if described.len() != usize::from(*count) || !(1..=4).contains(count) || *count == 2 {
            return Err(corrupt(format!(
                "{count} components in a frame header for {}, expected 1, 3 or 4",
                described.len()
            )));
        }
        let components = described.iter().map(|[id, factors, quantization]| {
            let (across, down) = (factors >> 4, factors & 15);
            if !(1..=4).contains(&across) || !(1..=4).contains(&down) {
                return Err(corrupt(format!(
                    "sampling factors of {across}×{down}, expected 1 to 4"
                )));
            }
            Ok(Component {
                id: *id,
                across,
                down,
                quantization: *quantization,
                begun: false,
                bits: [None; 64],
            })
        });
        Ok(Self {
            code,
            process,
            arithmetic: code > 0xC8,
            precision: *precision,
            width: u16::from_be_bytes([*w1, *w0]),
            height: u16::from_be_bytes([*h1, *h0]),
            components: components.collect::<Result<_, _>>()?,
            colours: Colours::Grey,
        })
    }

    /// The header again, its components and their quantization tables numbered from 0; or that of
    /// an image of some components only, as large as their scan is.
    pub(super) fn header(&self, indices: &[usize]) -> Result<Vec<u8>, Cause> {
        let components = indices
            .iter()
            .filter_map(|index| self.components.get(*index));
        let components: Vec<&Component> = components.collect();
        let (width, height) = match components.as_slice() {
            _ if components.len() == self.components.len() => {
                (self.width.into(), self.height.into())
            }
            [component] => self.samples(component),
            several => {
                let across = several
                    .iter()
                    .map(|one| usize::from(one.across))
                    .max()
                    .unwrap_or(1);
                let down = several
                    .iter()
                    .map(|one| usize::from(one.down))
                    .max()
                    .unwrap_or(1);
                let finest = self.finest();
                (
                    usize::from(self.width).div_ceil(8 * finest.0) * 8 * across,
                    usize::from(self.height).div_ceil(8 * finest.1) * 8 * down,
                )
            }
        };
        let mut out = vec![self.precision];
        for side in [height, width] {
            let side = u16::try_from(side);
            let side = side
                .map_err(|_| corrupt("it is too large for scans of two components".to_owned()))?;
            out.extend(side.to_be_bytes());
        }
        out.push(components.len() as u8);
        for (index, component) in indices.iter().zip(components) {
            let index = *index as u8;
            out.extend([index, component.across << 4 | component.down, index]);
        }
        Ok(out)
    }

    /// Whether the decoder, which goes by Adobe's marker alone, takes the components for what they
    /// are, and can tell them apart.
    pub(super) fn is_plain(&self, adobe: Option<u8>) -> bool {
        let ids = self.components.iter().map(|one| one.id);
        let apart = ids
            .clone()
            .enumerate()
            .all(|(place, id)| !ids.clone().skip(place + 1).any(|other| other == id));
        let taken_for = match (self.components.len(), adobe) {
            (1, _) => Colours::Grey,
            (3, Some(0)) => Colours::Rgb,
            (3, _) => Colours::YCbCr,
            (_, Some(0) | None) => Colours::Cmyk,
            (_, Some(_)) => Colours::Ycck,
        };
        apart && taken_for == self.colours
    }

    /// The largest sampling factors.
    pub(super) fn finest(&self) -> (usize, usize) {
        let across = self.components.iter().map(|one| one.across).max();
        let down = self.components.iter().map(|one| one.down).max();
        (across.unwrap_or(1).into(), down.unwrap_or(1).into())
    }

    /// Samples of a component: in a row, and rows.
    pub(super) fn samples(&self, component: &Component) -> (usize, usize) {
        let (across, down) = self.finest();
        (
            (usize::from(self.width) * usize::from(component.across)).div_ceil(across),
            (usize::from(self.height) * usize::from(component.down)).div_ceil(down),
        )
    }

    /// How many groups of blocks a scan has, and how many blocks a group.
    pub(super) fn groups(&self, scan: &Scan) -> (usize, usize) {
        let side = if self.process == Process::Lossless {
            1
        } else {
            8
        };
        let selected = scan.components.iter();
        let selected: Vec<_> = selected
            .filter_map(|one| self.components.get(one.index))
            .collect();
        if let [component] = selected.as_slice() {
            let (across, down) = self.samples(component);
            return (across.div_ceil(side) * down.div_ceil(side), 1);
        }
        let (across, down) = self.finest();
        let blocks = selected
            .iter()
            .map(|one| usize::from(one.across) * usize::from(one.down));
        (
            usize::from(self.width).div_ceil(side * across)
                * usize::from(self.height).div_ceil(side * down),
            blocks.sum(),
        )
    }

    /// Reads the header of a scan and notes what it gives.
    pub(super) fn begin_scan(&mut self, content: &[u8], number: usize) -> Result<Scan, Cause> {
        let broken = || corrupt(format!("the header of scan {number} is broken"));
        let (count, rest) = content.split_first().ok_or_else(broken)?;
        let (selectors, rest) = rest
            .split_at_checked(2 * usize::from(*count))
            .ok_or_else(broken)?;
        let (selectors, _) = selectors.as_chunks::<2>();
        let [from, to, bits, ..] = rest else {
            return Err(broken());
        };
        let mut components = Vec::new();
        for (place, [id, tables]) in selectors.iter().enumerate() {
            let named = self.components.iter().enumerate().skip(place);
            let index = named
                .filter(|(_, component)| component.id == *id)
                .map(|(index, _)| index)
                .find(|index| components.iter().all(|one: &Selected| one.index != *index));
            components.push(Selected {
                index: index.ok_or_else(|| {
                    corrupt(format!(
                        "scan {number} names component {id}, which the frame has not"
                    ))
                })?,
                dc: tables >> 4,
                ac: tables & 15,
            });
        }
        if components.is_empty() {
            return Err(broken());
        }
        for selected in &components {
            if let Some(component) = self.components.get_mut(selected.index) {
                if component.begun && self.process != Process::Progressive {
                    return Err(corrupt(format!(
                        "scan {number} gives a component that another scan has given"
                    )));
                }
                component.begun = true;
            }
        }
        let mut scan = Scan {
            components,
            from: *from,
            to: *to,
            high: bits >> 4,
            low: bits & 15,
            usual: self.process != Process::Sequential || (*from, *to, *bits) == (0, 63, 0),
        };
        match self.process {
            Process::Progressive => self.progress(&scan, number)?,
            // libjpeg does not look at these, and some encoders write other numbers.
            Process::Sequential => (scan.from, scan.to, scan.high, scan.low) = (0, 63, 0, 0),
            Process::Lossless if scan.components.len() < self.components.len() => {
                return Err(corrupt(
                    "a lossless JPEG of several scans is not supported".to_owned(),
                ));
            }
            Process::Lossless => {}
        }
        let (_, blocks) = self.groups(&scan);
        if blocks > MOST_BLOCKS {
            return Err(corrupt(format!(
                "scan {number} has groups of {blocks} blocks; JPEG allows {MOST_BLOCKS}"
            )));
        }
        Ok(scan)
    }

    /// Notes the bits that a progressive scan gives. Each must follow upon what is there.
    fn progress(&mut self, scan: &Scan, number: usize) -> Result<(), Cause> {
        let &Scan {
            from,
            to,
            high,
            low,
            ..
        } = scan;
        let ac = from > 0;
        let valid = from <= to && to < 64 && low < 14 && (high == 0 || high == low + 1);
        if !valid || ac && scan.components.len() > 1 || !ac && to > 0 {
            return Err(corrupt(format!(
                "scan {number} gives coefficients {from} to {to}, bits {high} to {low}, of {} \
                 components, which no progressive image may",
                scan.components.len()
            )));
        }
        let before = (high > 0).then_some(high);
        for selected in &scan.components {
            let Some(component) = self.components.get_mut(selected.index) else {
                continue;
            };
            let range = usize::from(from)..=usize::from(to);
            for bits in component.bits.get_mut(range).unwrap_or_default() {
                if *bits != before {
                    return Err(corrupt(format!(
                        "scan {number} does not follow upon the scans before; scans are missing or \
                         repeated"
                    )));
                }
                *bits = Some(low);
            }
        }
        Ok(())
    }

    /// That the scans have given the whole image.
    pub(super) fn check_whole(&self) -> Result<(), Cause> {
        for (number, component) in (1..).zip(&self.components) {
            let whole = match self.process {
                Process::Progressive => component.bits.iter().all(|bits| *bits == Some(0)),
                _ => component.begun,
            };
            if !whole {
                return Err(Cause::Truncated(format!(
                    "scans of component {number} of {} are missing",
                    self.components.len()
                )));
            }
        }
        Ok(())
    }
}

impl Scan {
    /// Class and number of the Huffman tables that a component of it needs.
    pub(super) fn tables(
        &self,
        frame: &Frame,
        of: &Selected,
    ) -> impl Iterator<Item = (u8, u8)> + use<> {
        let (dc, ac) = match frame.process {
            Process::Sequential => (true, true),
            Process::Lossless => (true, false),
            Process::Progressive => (self.from == 0 && self.high == 0, self.from > 0),
        };
        let dc = (dc && !frame.arithmetic).then_some((0, of.dc));
        let ac = (ac && !frame.arithmetic).then_some((1, of.ac));
        dc.into_iter().chain(ac)
    }

    /// The header again.
    pub(super) fn header(&self) -> Vec<u8> {
        let mut out = vec![self.components.len() as u8];
        for one in &self.components {
            out.extend([one.index as u8, one.dc << 4 | one.ac]);
        }
        out.extend([self.from, self.to, self.high << 4 | self.low]);
        out
    }
}
