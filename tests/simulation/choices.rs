//! Where all chance comes from: one source, whether a seed or a fuzzer's bytes.

/// Makes every choice of a world. Zero is always the calm choice.
pub(crate) trait Choices: Send {
    /// A number below `bound`, which is from 1 to 256.
    fn below(&mut self, bound: u32) -> u32;

    /// Whether nothing but calm choices are left: the world may come to rest.
    fn exhausted(&self) -> bool;
}

/// Choices drawn from a seed (`SplitMix64`).
pub(crate) struct Seeded(u64);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }
}

impl Choices for Seeded {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let high = (mixed ^ (mixed >> 31)) >> 32;
        u32::try_from((high * u64::from(bound)) >> 32).expect("less than the bound")
    }

    fn exhausted(&self) -> bool {
        false
    }
}

/// Choices read from bytes, one each; after the last, all is calm.
#[allow(dead_code, reason = "the fuzzer's")]
pub(crate) struct Bytes {
    bytes: Vec<u8>,
    read: usize,
}

impl Bytes {
    #[allow(dead_code, reason = "the fuzzer's")]
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), read: 0 }
    }
}

impl Choices for Bytes {
    fn below(&mut self, bound: u32) -> u32 {
        if bound < 2 {
            return 0;
        }
        let byte = self.bytes.get(self.read).copied().unwrap_or(0);
        self.read += 1;
        u32::from(byte) % bound
    }

    fn exhausted(&self) -> bool {
        self.read >= self.bytes.len()
    }
}
