//! The name of a family.

use core::fmt;

/// Identifies a family of refresh tokens: 128 random bits. Not secret; access tokens carry it as
/// `sid`.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FamilyId([u8; Self::BYTES]);

impl FamilyId {
    /// The length in bytes.
    pub const BYTES: usize = 16;

    /// Returns the identifier with these bytes.
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    pub const fn to_bytes(self) -> [u8; Self::BYTES] {
        self.0
    }

    /// Parses the form that [`Display`](fmt::Display) writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        let hexadecimal = text.len() == 2 * Self::BYTES
            && text.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
        let number = u128::from_str_radix(text, 16).ok().filter(|_| hexadecimal)?;
        Some(Self(number.to_be_bytes()))
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for FamilyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for FamilyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FamilyId({self})")
    }
}
