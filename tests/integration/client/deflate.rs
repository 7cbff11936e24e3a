//! Messages as RFC 7692 compresses them, each on its own.

use miniz_oxide::deflate::core::{CompressorOxide, TDEFLFlush, compress, create_comp_flags_from_zip_params};
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

/// What a sender leaves out (§7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The largest message a test sends or gets.
const LIMIT_BYTES: usize = 1 << 20;

/// The payload of a message that holds `bytes`.
pub(crate) fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0; bytes.len() * 2 + 100];
    // Raw: no zlib header.
    let mut compressor = CompressorOxide::new(create_comp_flags_from_zip_params(6, -15, 0));
    let (_, taken, written) = compress(&mut compressor, bytes, &mut out, TDEFLFlush::Sync);
    assert_eq!(taken, bytes.len());
    out.truncate(written);
    assert!(out.ends_with(&TAIL));
    out.truncate(written - TAIL.len());
    out
}

/// What a message with this payload holds.
#[track_caller]
pub(crate) fn inflated(payload: &[u8]) -> Vec<u8> {
    // With a final block behind it: the stream has to end there.
    let whole = [payload, &TAIL, &[1], &TAIL].concat();
    let mut out = vec![0; LIMIT_BYTES];
    let mut decompressor = DecompressorOxide::new();
    let (status, taken, written) =
        decompress(&mut decompressor, &whole, &mut out, 0, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF);
    assert_eq!((status, taken), (miniz_oxide::inflate::TINFLStatus::Done, whole.len()), "{payload:02x?}");
    out.truncate(written);
    out
}
