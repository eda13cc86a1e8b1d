//! Boxes (ISO/IEC 14496-12, 4.2) and the big-endian integers in them.

use crate::error::{require, Error, Result};

/// Type of a box.
pub(crate) type Kind = [u8; 4];

/// A box inside another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Child<'a> {
    pub kind: Kind,
    pub body: &'a [u8],
}

/// The boxes that fill `data`, up to the zeros with which QuickTime ends some lists.
pub(crate) fn children(mut data: &[u8]) -> Result<Vec<Child<'_>>> {
    let mut found = Vec::new();
    while !data.is_empty() {
        if data.len() < 8 {
            require(data.iter().all(|&b| b == 0), "a box ends inside a header")?;
            break;
        }
        let mut head = Reader(data);
        let (size, kind) = (head.u32()? as usize, head.kind()?);
        require(
            size >= 8 && size <= data.len(),
            "a box goes beyond its parent",
        )?;
        let (whole, rest) = data.split_at(size);
        found.push(Child {
            kind,
            body: &whole[8..],
        });
        data = rest;
    }
    Ok(found)
}

/// The only box of a type; None if there is none.
pub(crate) fn optional<'a>(boxes: &[Child<'a>], kind: &Kind) -> Result<Option<&'a [u8]>> {
    let mut of_kind = boxes.iter().filter(|child| child.kind == *kind);
    let first = of_kind.next().map(|child| child.body);
    require(of_kind.next().is_none(), "a box occurs twice")?;
    Ok(first)
}

/// The only box of a type.
pub(crate) fn required<'a>(boxes: &[Child<'a>], kind: &Kind) -> Result<&'a [u8]> {
    optional(boxes, kind)?.ok_or(Error::Unfit("a box is missing"))
}

/// Reads from the front of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let split = self.0.split_at_checked(count);
        let (bytes, rest) = split.ok_or(Error::Unfit("a box is cut short"))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let split = self.0.split_first_chunk();
        let (bytes, rest) = split.ok_or(Error::Unfit("a box is cut short"))?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub fn kind(&mut self) -> Result<Kind> {
        self.array()
    }

    pub fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// Version and flags of a full box.
    pub fn version(&mut self) -> Result<(u8, u32)> {
        let word = self.u32()?;
        Ok(((word >> 24) as u8, word & 0xff_ffff))
    }

    /// A count of entries of `size` bytes, all of which are there.
    pub fn count(&mut self, size: usize) -> Result<usize> {
        let count = self.u32()? as usize;
        require(count <= self.0.len() / size, "a table is cut short")?;
        Ok(count)
    }
}
