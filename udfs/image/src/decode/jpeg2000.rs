//! JPEG 2000, as a bare codestream or in the boxes of JP2, nearly as Pillow shows it.
//!
//! Samples of up to eight bits are shifted up, not stretched, and deeper ones rounded, as Pillow's are
//! (of which the brightest wrap around to 0; here they stay white). Four channels are red, green, blue
//! and alpha, unless the file says that they are inks. Wavelets in whole numbers give Pillow's levels;
//! those of real numbers may be off by one, as OpenJPEG computes in another order.
//!
//! Otherwise than Pillow: the channels of a palette or of a definition of channels come in the order that
//! the file says; where all channels are coarser than the grid, the picture is as large as they are; luma
//! and chroma become colours in real numbers; and the header of JP2 may contradict that of the codestream,
//! which counts.

mod header;

use hayro_jpeg2000::{ColorSpace, ComponentData, DecodeSettings, DecoderContext, Image};

use self::header::{CIELAB, CMYK, Declared, YCCK};
use super::error::Cause;
use super::levels::cmyk_to_rgb;
use super::opened::{DECODER_OVERHEAD, Opened};
use super::{DecodeOptions, DeepGrey, Details, Format, Header, RgbPixels};

/// Reads the headers.
pub(super) fn open(bytes: &[u8], options: DecodeOptions) -> Result<Box<dyn Opened + '_>, Cause> {
    let declared = Declared::read(bytes)?;
    if let Some(space @ (CIELAB | YCCK)) = declared.colour_space {
        let name = if space == YCCK { "YCCK" } else { "CIE L*a*b*" };
        return Err(Cause::Corrupt(format!(
            "its colours are {name}, which is not supported"
        )));
    }
    let settings = DecodeSettings {
        // Whatever is missing is an error.
        strict: true,
        ..DecodeSettings::default()
    };
    let image = Image::new(bytes, &settings).map_err(cause)?;
    let channels = image.color_space().num_channels() + u8::from(image.has_alpha());
    let mode = match (channels, declared.colour_space) {
        (1, _) => Mode::Grey,
        (2, _) => Mode::GreyAlpha,
        (3, _) => Mode::Rgb,
        (4, Some(CMYK)) => Mode::Cmyk,
        (4, _) => Mode::RgbAlpha,
        _ => {
            return Err(Cause::Corrupt(format!(
                "it has {channels} channels; 1 to 4 are supported"
            )));
        }
    };
    Ok(Box::new(Jpeg2000 {
        image,
        mode,
        options,
    }))
}

/// What the channels are.
#[derive(Clone, Copy)]
enum Mode {
    Grey,
    GreyAlpha,
    Rgb,
    RgbAlpha,
    Cmyk,
}

struct Jpeg2000<'a> {
    image: Image<'a>,
    mode: Mode,
    options: DecodeOptions,
}

impl Opened for Jpeg2000<'_> {
    fn header(&self) -> Header {
        let mode = match self.mode {
            Mode::Grey => "L",
            Mode::GreyAlpha => "LA",
            Mode::Rgb => "RGB",
            Mode::RgbAlpha => "RGBA",
            Mode::Cmyk => "CMYK",
        };
        Header {
            format: Format::Jpeg2000,
            width: self.image.width(),
            height: self.image.height(),
            color: match self.image.original_bit_depth() {
                8 => mode.to_owned(),
                bits => format!("{mode};{bits}"),
            },
        }
    }

    fn details(&self) -> Details {
        Details {
            bits: self.image.original_bit_depth(),
            icc_profile: matches!(self.image.color_space(), ColorSpace::Icc { .. }),
            transparency: matches!(self.mode, Mode::GreyAlpha | Mode::RgbAlpha),
            ..Details::default()
        }
    }

    fn read(self: Box<Self>) -> Result<RgbPixels, Cause> {
        let (width, height) = (self.image.width() as usize, self.image.height() as usize);
        self.check_memory()?;
        let mut context = DecoderContext::default();
        let decoded = self.image.decode(&mut context).map_err(cause)?;
        let channels: Vec<Channel> = decoded.components().iter().map(Channel::new).collect();
        let mut data = vec![0; width * height * 3];
        let (pixels, _) = data.as_chunks_mut::<3>();
        let whole = |channel: &Channel| channel.samples.len() == pixels.len();
        if !channels.iter().all(whole) {
            return Err(Cause::Corrupt("its channels differ in size".to_owned()));
        }
        match (self.mode, channels.as_slice()) {
            (Mode::Grey, [grey, ..]) => {
                for (pixel, sample) in pixels.iter_mut().zip(grey.samples) {
                    *pixel = [grey.grey(*sample, self.options.deep_grey); 3];
                }
            }
            (Mode::GreyAlpha, [grey, ..]) => {
                for (pixel, sample) in pixels.iter_mut().zip(grey.samples) {
                    *pixel = [grey.level(*sample); 3];
                }
            }
            (Mode::Rgb | Mode::RgbAlpha, [colours @ .., _] | colours) if colours.len() >= 3 => {
                for (index, channel) in colours.iter().take(3).enumerate() {
                    for (pixel, sample) in pixels.iter_mut().zip(channel.samples) {
                        pixel[index] = channel.level(*sample);
                    }
                }
            }
            (Mode::Cmyk, [cyan, magenta, yellow, black]) => {
                let inks = cyan.samples.iter().zip(magenta.samples);
                let inks = inks.zip(yellow.samples.iter().zip(black.samples));
                for (pixel, ((c, m), (y, k))) in pixels.iter_mut().zip(inks) {
                    *pixel = cmyk_to_rgb([
                        cyan.level(*c),
                        magenta.level(*m),
                        yellow.level(*y),
                        black.level(*k),
                    ]);
                }
            }
            _ => return Err(Cause::Corrupt("it lacks a channel".to_owned())),
        }
        Ok(RgbPixels {
            width,
            height,
            data,
        })
    }
}

impl Jpeg2000<'_> {
    /// Refuses what would take more memory than is documented: samples and coefficients are numbers of 32 bits,
    /// and four channels are copied once more when they are put in order.
    fn check_memory(&self) -> Result<(), Cause> {
        const PER_PIXEL: u64 = 24;
        let pixels = u64::from(self.image.width()) * u64::from(self.image.height());
        let most = self.options.limits.max_pixels;
        let allowed = most
            .saturating_mul(PER_PIXEL)
            .saturating_add(DECODER_OVERHEAD);
        let needed = match self.mode {
            Mode::Grey | Mode::GreyAlpha | Mode::Rgb => pixels * PER_PIXEL,
            Mode::RgbAlpha | Mode::Cmyk => pixels * 2 * PER_PIXEL,
        };
        if needed > allowed {
            return Err(Cause::Corrupt(format!(
                "its four channels take {} MB, more than featurize.max_pixels = {most} allows; raise the \
                 setting if the image is genuine",
                needed >> 20
            )));
        }
        Ok(())
    }
}

/// A channel of the picture in numbers of `bits` bits.
struct Channel<'a> {
    samples: &'a [f32],
    bits: u32,
}

impl<'a> Channel<'a> {
    fn new(component: &'a ComponentData) -> Self {
        Self {
            samples: component.samples(),
            bits: u32::from(component.bit_depth()),
        }
    }

    /// The nearest whole number that there is; the decoder's own may lie beyond.
    fn whole(&self, sample: f32) -> u64 {
        let most = (1_u64 << self.bits) - 1;
        // The cast takes what is negative to 0.
        ((sample + 0.5) as u64).min(most)
    }

    /// As eight bits.
    fn level(&self, sample: f32) -> u8 {
        let value = self.whole(sample);
        let level = match self.bits.checked_sub(8) {
            None => value << (8 - self.bits),
            Some(0) => value,
            Some(more) => (value + (1 << (more - 1))) >> more,
        };
        level.min(255) as u8
    }

    /// As eight bits, of a picture that is nothing but grey; Pillow keeps 16 bits of such a one.
    fn grey(&self, sample: f32, deep: DeepGrey) -> u8 {
        if self.bits <= 8 {
            return self.level(sample);
        }
        let value = self.whole(sample);
        let value = match self.bits.checked_sub(16) {
            None => value << (16 - self.bits),
            Some(more) => value >> more,
        };
        deep.level(value.min(u64::from(u16::MAX)) as u16)
    }
}

fn cause(error: hayro_jpeg2000::DecodeError) -> Cause {
    Cause::Corrupt(error.to_string())
}
