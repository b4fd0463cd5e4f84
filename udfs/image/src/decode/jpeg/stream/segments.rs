//! Segments of the stream that the decoder is given, written anew.

use super::super::super::error::Cause;
use super::super::frame::{Frame, Process};
use super::{HUFFMAN, MARKER, QUANTIZATION, Reader, corrupt};

impl Reader<'_> {
    /// Writes a segment of these parts.
    pub(super) fn write(&mut self, code: u8, content: &[&[u8]]) -> Result<(), Cause> {
        let length = content.iter().map(|part| part.len()).sum::<usize>();
        let length = u16::try_from(length + 2);
        let length = length.map_err(|_| corrupt("a segment is too long"))?;
        self.put(&[MARKER, code]);
        self.put(&length.to_be_bytes());
        content.iter().for_each(|part| self.put(part));
        Ok(())
    }

    /// Writes the table of a component as it stands when its first scan begins; later ones of the
    /// same number are for other components.
    pub(super) fn write_quantization(&mut self, frame: &Frame, index: usize) -> Result<(), Cause> {
        let component = frame.components.get(index);
        let (Some(component), Some(latched)) = (component, self.latched.get_mut(index)) else {
            return Ok(());
        };
        let id = usize::from(component.quantization);
        let again = latched.is_some() && frame.process == Process::Progressive;
        let table = latched.or(self.quantization.get(id).copied().flatten());
        let Some((precision, numbers)) = table else {
            return Err(corrupt(format!("quantization table {id} is missing")));
        };
        *latched = table;
        if again {
            return Ok(());
        }
        self.write(QUANTIZATION, &[&[precision << 4 | index as u8], numbers])
    }

    pub(super) fn write_huffman(&mut self, class: u8, id: u8) -> Result<(), Cause> {
        let slot = self.huffman.get_mut(usize::from(class));
        let slot = slot.and_then(|ids| ids.get_mut(usize::from(id)));
        // A sequential image may leave the usual tables out; the decoder knows them.
        if let Some(table) = slot.and_then(Option::as_mut).filter(|table| !table.written) {
            table.written = true;
            check_codes(table.specification)?;
            let specification = table.specification;
            self.write(HUFFMAN, &[&[class << 4 | id], specification])?;
        }
        Ok(())
    }
}

/// That a Huffman table leaves the code of ones only alone, as libjpeg does.
pub(super) fn check_codes(specification: &[u8]) -> Result<(), Cause> {
    let counts = specification.get(..16).unwrap_or_default();
    let used = (1..=16)
        .zip(counts)
        .map(|(length, count)| u32::from(*count) << (16 - length));
    if used.sum::<u32>() >= 1 << 16 {
        return Err(corrupt("a Huffman table has more codes than there may be"));
    }
    Ok(())
}
