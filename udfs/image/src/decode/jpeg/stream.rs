//! Reads the markers of a JPEG as libjpeg does, and writes a stream that leaves no doubt.
//!
//! The decoder sees when the data of a scan ends before the scan does. What it does not see is
//! counted here: scans and restart intervals.
//!
//! Nearly all files go to the decoder as they are. The others are written anew, with only what
//! decoding needs, numbered from 0: junk between segments, metadata that breaks off, and tables that
//! no scan uses cannot harm, just as libjpeg skips them.

mod segments;

use std::borrow::Cow;
use std::io::BufRead;

use super::super::error::Cause;
use super::frame::{Colours, Frame, Process};

const MARKER: u8 = 0xFF;
const START_OF_IMAGE: u8 = 0xD8;
const END_OF_IMAGE: u8 = 0xD9;
const START_OF_SCAN: u8 = 0xDA;
const QUANTIZATION: u8 = 0xDB;
const LINES: u8 = 0xDC;
const RESTART_INTERVAL: u8 = 0xDD;
const HUFFMAN: u8 = 0xC4;
const ARITHMETIC: u8 = 0xCC;
const JFIF: u8 = 0xE0;
const ADOBE: u8 = 0xEE;
const COMMENT: u8 = 0xFE;
const TEMPORARY: u8 = 0x01;

const ENDS_EARLY: &str = "the data ends before the end-of-image marker";

/// Bytes that libjpeg wants behind the last block where the end marker should be.
const READ_AHEAD: usize = 8;

/// Most scans of a progressive image. Encoders write about ten; each costs a pass over all pixels.
pub(super) const MOST_SCANS: usize = 500;

/// A JPEG that has all its scans.
pub(super) struct Stream<'a> {
    pub(super) frame: Frame,
    pub(super) parts: Vec<Part<'a>>,
}

/// A JPEG of its own: the image, or some components of it. A sequential image may give its components
/// one by one or in pairs; the decoder wants all of them in one scan.
pub(super) struct Part<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    pub(super) components: Vec<usize>,
}

/// Reads a JPEG to its end. `ycbcr` says what its colours are if it cannot know: YCbCr, or none to
/// convert.
///
/// # Errors
///
/// [`Cause::Truncated`] if the bytes run out before, or parts of the image are missing.
pub(super) fn read(bytes: &[u8], ycbcr: Option<bool>) -> Result<Stream<'_>, Cause> {
    let mut reader = Reader::new(bytes, ycbcr, None);
    let frame = reader.read()?;
    if reader.plain {
        let components = (0..frame.components.len()).collect();
        let bytes = Cow::Borrowed(bytes);
        let parts = vec![Part { bytes, components }];
        return Ok(Stream { frame, parts });
    }
    let mut reader = Reader::new(bytes, ycbcr, Some(Vec::new()));
    Ok(Stream {
        frame: reader.read()?,
        parts: reader.parts,
    })
}

/// The frame header of a JPEG whose first scan has begun, if the decoder reads it as libjpeg does.
pub(super) fn read_beginning(bytes: &[u8]) -> Option<Frame> {
    let mut reader = Reader::new(bytes, None, None);
    // That it ends early is why it is read again.
    let _ends_early = reader.read();
    reader.frame.filter(|_| reader.plain && reader.scans > 0)
}

impl Stream<'static> {
    /// A JPEG that is decoded as it stands.
    pub(super) fn of_one(frame: Frame, bytes: Vec<u8>) -> Self {
        let components = (0..frame.components.len()).collect();
        let bytes = Cow::Owned(bytes);
        Self {
            frame,
            parts: vec![Part { bytes, components }],
        }
    }
}

fn corrupt(what: impl Into<String>) -> Cause {
    Cause::Corrupt(what.into())
}

/// A Huffman table as it stands in the file, and whether the new stream has it.
#[derive(Clone, Copy)]
struct Huffman<'a> {
    specification: &'a [u8],
    written: bool,
}

struct Reader<'a> {
    bytes: &'a [u8],
    ycbcr: Option<bool>,
    at: usize,
    /// Whether the decoder reads the file as libjpeg does.
    plain: bool,
    /// The new stream, if one is written.
    out: Option<Vec<u8>>,
    frame: Option<Frame>,
    jfif: bool,
    /// The transform that an Adobe marker names.
    adobe: Option<u8>,
    /// Precision and 64 numbers of each table.
    quantization: [Option<(u8, &'a [u8])>; 4],
    /// The table of each component, as it was when its first scan began.
    latched: [Option<(u8, &'a [u8])>; 4],
    /// Tables of DC and AC coefficients.
    huffman: [[Option<Huffman<'a>>; 4]; 2],
    /// Conditioning of arithmetic coding: a table and its value.
    arithmetic: Vec<[u8; 2]>,
    interval: u16,
    written_interval: u16,
    scans: usize,
    parts: Vec<Part<'a>>,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8], ycbcr: Option<bool>, out: Option<Vec<u8>>) -> Self {
        Self {
            bytes,
            ycbcr,
            at: 2,
            plain: true,
            out,
            frame: None,
            jfif: false,
            adobe: None,
            quantization: [None; 4],
            latched: [None; 4],
            huffman: [[None; 4]; 2],
            arithmetic: Vec::new(),
            interval: 0,
            written_interval: 0,
            scans: 0,
            parts: Vec::new(),
        }
    }

    fn read(&mut self) -> Result<Frame, Cause> {
        if !self.bytes.starts_with(&[MARKER, START_OF_IMAGE]) {
            return Err(corrupt("it does not begin with the start-of-image marker"));
        }
        self.markers()?;
        let frame = self.frame.take();
        let frame = frame.ok_or_else(|| corrupt("it has no frame header"))?;
        frame.check_whole()?;
        self.end_part();
        Ok(frame)
    }

    fn markers(&mut self) -> Result<(), Cause> {
        loop {
            match self.next_marker()? {
                END_OF_IMAGE => return Ok(()),
                START_OF_IMAGE => return Err(corrupt("a second image begins within it")),
                TEMPORARY | 0xD0..=0xD7 => self.plain = false,
                START_OF_SCAN => {
                    if self.scan()? {
                        return Ok(());
                    }
                }
                code => self.header(code)?,
            }
        }
    }

    /// The code of the next marker; what lies before it is skipped.
    fn next_marker(&mut self) -> Result<u8, Cause> {
        let mut rest = self.bytes.get(self.at..).unwrap_or_default();
        loop {
            let found = rest.skip_until(MARKER).unwrap_or(0);
            let fill = rest.iter().take_while(|byte| **byte == MARKER).count();
            rest = rest.get(fill..).unwrap_or_default();
            let (Some((code, after)), 1..) = (rest.split_first(), found) else {
                return Err(Cause::Truncated(ENDS_EARLY.to_owned()));
            };
            rest = after;
            self.plain &= found == 1 && *code != 0;
            if *code != 0 {
                self.at = self.bytes.len() - rest.len();
                return Ok(*code);
            }
        }
    }

    /// The content of the segment that begins here.
    fn segment(&mut self) -> Result<&'a [u8], Cause> {
        let short = || Cause::Truncated(ENDS_EARLY.to_owned());
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let (length, _) = rest.split_first_chunk().ok_or_else(short)?;
        let length = usize::from(u16::from_be_bytes(*length));
        if length < 2 {
            return Err(corrupt(format!(
                "a segment of {length} bytes, expected at least 2"
            )));
        }
        let content = rest.get(2..length).ok_or_else(short)?;
        self.at += length;
        Ok(content)
    }

    fn header(&mut self, code: u8) -> Result<(), Cause> {
        let content = self.segment()?;
        match code {
            0xC0..=0xCF if !matches!(code, HUFFMAN | 0xC8 | ARITHMETIC) => {
                if self.frame.is_some() {
                    return Err(corrupt("it has two frame headers"));
                }
                self.frame = Some(Frame::read(code, content)?);
            }
            HUFFMAN => self.huffman(content)?,
            QUANTIZATION => self.quantization(content)?,
            ARITHMETIC => self.conditioning(content)?,
            RESTART_INTERVAL => {
                let Some((interval, [])) = content.split_first_chunk() else {
                    return Err(corrupt("a restart interval of another length than 2 bytes"));
                };
                self.interval = u16::from_be_bytes(*interval);
            }
            JFIF => self.jfif |= content.len() >= 14 && content.starts_with(b"JFIF\0"),
            ADOBE => {
                if let Some(transform) = content.get(11).filter(|_| content.starts_with(b"Adobe")) {
                    self.adobe = Some(*transform);
                }
            }
            0xE1..=0xED | 0xEF | COMMENT => {}
            LINES => self.plain = false,
            code => return Err(corrupt(format!("unknown marker FF{code:02X}"))),
        }
        Ok(())
    }

    fn huffman(&mut self, mut content: &'a [u8]) -> Result<(), Cause> {
        while let Some((place, rest)) = content.split_first() {
            let short = || corrupt("a Huffman table breaks off");
            let counts = rest.get(..16).ok_or_else(short)?;
            let length = 16 + counts.iter().copied().map(usize::from).sum::<usize>();
            let specification = rest.get(..length).ok_or_else(short)?;
            let (class, id) = (usize::from(place >> 4), usize::from(place & 15));
            let slot = self.huffman.get_mut(class).and_then(|ids| ids.get_mut(id));
            let slot = slot.ok_or_else(|| corrupt(format!("Huffman table {class}/{id}")))?;
            self.plain &= segments::check_codes(specification).is_ok();
            *slot = Some(Huffman {
                specification,
                written: false,
            });
            content = rest.get(length..).unwrap_or_default();
        }
        Ok(())
    }

    /// The decoder takes the last value of a table for all scans.
    fn conditioning(&mut self, content: &[u8]) -> Result<(), Cause> {
        let (pairs, _) = content.as_chunks::<2>();
        for [table, value] in pairs {
            let mut known = self.arithmetic.iter_mut();
            match known.find(|known| known.starts_with(&[*table])) {
                None => self.arithmetic.push([*table, *value]),
                Some(known) if self.scans == 0 || known.ends_with(&[*value]) => {
                    *known = [*table, *value];
                }
                Some(_) => {
                    return Err(corrupt(
                        "arithmetic coding that changes between scans is not supported",
                    ));
                }
            }
        }
        Ok(())
    }

    fn quantization(&mut self, mut content: &'a [u8]) -> Result<(), Cause> {
        // The decoder takes the last table of a number for all scans.
        self.plain &= self.scans == 0;
        while let Some((place, rest)) = content.split_first() {
            let (precision, id) = (place >> 4, usize::from(place & 15));
            let length = if precision == 0 { 64 } else { 128 };
            let numbers = rest.get(..length);
            let numbers = numbers.ok_or_else(|| corrupt("a quantization table breaks off"))?;
            let slot = self.quantization.get_mut(id);
            let slot = slot.ok_or_else(|| corrupt(format!("quantization table {id}")))?;
            *slot = Some((precision.min(1), numbers));
            content = rest.get(length..).unwrap_or_default();
        }
        Ok(())
    }

    /// Reads a scan; whether it completes the image.
    fn scan(&mut self) -> Result<bool, Cause> {
        let content = self.segment()?;
        self.scans += 1;
        let number = self.scans;
        if number > MOST_SCANS {
            return Err(corrupt(format!("it has more than {MOST_SCANS} scans")));
        }
        let Some(mut frame) = self.frame.take() else {
            return Err(corrupt("a scan comes before the frame header"));
        };
        let outcome = self.scan_of(&mut frame, content, number);
        self.frame = Some(frame);
        outcome
    }

    fn scan_of(&mut self, frame: &mut Frame, content: &[u8], number: usize) -> Result<bool, Cause> {
        if number == 1 {
            frame.colours = match self.ycbcr {
                None => Colours::of(frame, self.jfif, self.adobe),
                Some(ycbcr) => Colours::said(frame, ycbcr),
            };
            self.plain &= frame.is_plain(self.adobe);
        }
        let scan = frame.begin_scan(content, number)?;
        let indices: Vec<usize> = scan.components.iter().map(|one| one.index).collect();
        let all = indices.len() == frame.components.len();
        let progressive = frame.process == Process::Progressive;
        self.plain &= progressive || all && scan.usual;
        if progressive && number == 1 {
            self.begin_part(frame, (0..frame.components.len()).collect())?;
        } else if !progressive {
            self.begin_part(frame, indices)?;
        }
        for selected in &scan.components {
            if frame.process != Process::Lossless {
                self.write_quantization(frame, selected.index)?;
            }
            for (class, id) in scan.tables(frame, selected) {
                self.write_huffman(class, id)?;
            }
        }
        if !self.arithmetic.is_empty() {
            let content = self.arithmetic.as_flattened().to_vec();
            self.write(ARITHMETIC, &[&content])?;
        }
        if self.interval != self.written_interval {
            self.write(RESTART_INTERVAL, &[&self.interval.to_be_bytes()])?;
            self.written_interval = self.interval;
        }
        if self.out.is_some() {
            self.write(START_OF_SCAN, &[&scan.header()])?;
        }
        let last = !progressive && all;
        self.entropy(frame, frame.groups(&scan).0, last)?;
        Ok(last)
    }

    /// Begins a JPEG with these components.
    fn begin_part(&mut self, frame: &Frame, components: Vec<usize>) -> Result<(), Cause> {
        self.end_part();
        self.put(&[MARKER, START_OF_IMAGE]);
        if self.out.is_some() {
            self.write(frame.code, &[&frame.header(&components)?])?;
        }
        if let Some(transform) = frame.colours.transform() {
            self.write(ADOBE, &[b"Adobe\0\x64\0\0\0\0", &[transform]])?;
        }
        let tables = self.huffman.iter_mut().flatten().flatten();
        tables.for_each(|table| table.written = false);
        self.written_interval = 0;
        self.parts.push(Part {
            bytes: Cow::default(),
            components,
        });
        Ok(())
    }

    fn end_part(&mut self) {
        self.put(&[MARKER, END_OF_IMAGE]);
        if let (Some(part), Some(out)) = (self.parts.last_mut(), &mut self.out) {
            part.bytes = Cow::Owned(out.clone());
        }
        if let Some(out) = &mut self.out {
            out.clear();
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        if let Some(out) = &mut self.out {
            out.extend_from_slice(bytes);
        }
    }

    /// Copies the data of a scan of so many groups of blocks.
    fn entropy(&mut self, frame: &Frame, groups: usize, last: bool) -> Result<(), Cause> {
        let number = self.scans;
        let intervals = match self.interval {
            0 => 1,
            interval => groups.div_ceil(interval.into()).max(1),
        };
        // Intervals that are whole, and bytes of the one that is being read.
        let (mut whole, mut length) = (0, 0);
        loop {
            let run = self.bytes.get(self.at..).unwrap_or_default();
            let mut rest = run;
            let skipped = rest.skip_until(MARKER).unwrap_or(0);
            let run = run.get(..skipped).unwrap_or_default();
            let fill = rest.iter().take_while(|byte| **byte == MARKER).count();
            let code = rest.get(fill).filter(|_| run.ends_with(&[MARKER]));
            let Some(code) = code.copied() else {
                let ends = last && whole + 1 == intervals && !frame.arithmetic;
                return self.end_without_marker(run, ends);
            };
            if code == 0 {
                self.put(run);
                self.put(&[0]);
                self.at += skipped + fill + 1;
                length += skipped;
                continue;
            }
            let data = run.get(..skipped - 1).unwrap_or_default();
            self.put(data);
            self.at += data.len();
            length += data.len();
            // Some cameras write a marker behind the last interval, too.
            if whole == intervals {
                if length > 0 {
                    let what = format!(
                        "scan {number} has more than the {intervals} restart intervals of an image \
                         of {}×{} pixels",
                        frame.width, frame.height
                    );
                    return Err(corrupt(what));
                }
            } else {
                whole += 1;
            }
            length = 0;
            if !(0xD0..=0xD7).contains(&code) {
                break;
            }
            self.at += fill + 2;
            let expected = 0xD0 + ((whole - 1) % 8) as u8;
            if whole < intervals {
                if code != expected {
                    return Err(corrupt(format!(
                        "restart marker {} follows interval {whole} of scan {number}, expected {}; \
                         intervals are missing",
                        code - 0xD0,
                        expected - 0xD0
                    )));
                }
                self.put(&[MARKER, code]);
            }
        }
        if whole < intervals {
            return Err(Cause::Truncated(format!(
                "scan {number} ends after {whole} of {intervals} restart intervals"
            )));
        }
        Ok(())
    }

    /// The file ends within a scan. Pillow reads it all the same if zeros are there in place of the
    /// marker; if blocks are missing, they must not pass as data.
    fn end_without_marker(&mut self, data: &[u8], may_end: bool) -> Result<(), Cause> {
        let zeros = data.iter().rev().take_while(|byte| **byte == 0).count();
        if !may_end || zeros < READ_AHEAD {
            let what = "the data ends within a scan, before the end-of-image marker";
            return Err(Cause::Truncated(what.to_owned()));
        }
        self.plain = false;
        self.put(data.get(..data.len() - zeros).unwrap_or_default());
        self.at = self.bytes.len();
        Ok(())
    }
}
