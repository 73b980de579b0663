use proptest::prelude::*;

use super::{CompressionError, Encoding};

const MIB: usize = 1024 * 1024;

/// The encodings whose features are compiled in.
fn supported() -> impl Iterator<Item = Encoding> {
    Encoding::ALL.into_iter().filter(|it| it.is_supported())
}

/// Something that compresses, and not too well: words in no order.
fn text(len: usize) -> Vec<u8> {
    const WORDS: [&str; 8] = [
        "neither ",
        "quantity ",
        "harvest ",
        "of ",
        "signals, ",
        "umbrella ",
        "and ",
        "window ",
    ];
    let mut state = 1u32;
    let mut word = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        WORDS[(state >> 29) as usize].bytes()
    };
    let mut text: Vec<u8> = Vec::new();
    while text.len() < len {
        text.extend(word());
    }
    text.truncate(len);
    text
}

#[test]
fn names_are_those_of_the_wire() {
    let names: Vec<_> = Encoding::ALL.iter().map(|it| it.name()).collect();
    assert_eq!(names, ["zstd", "lz4", "gzip"]);
    for encoding in Encoding::ALL {
        assert_eq!(Encoding::from_name(encoding.name()), Some(encoding));
    }
    assert_eq!(Encoding::from_name("br"), None);
}

#[test]
fn what_is_not_compiled_in_says_so() {
    for encoding in Encoding::ALL.into_iter().filter(|it| !it.is_supported()) {
        assert_eq!(encoding.compress(&[0; 1000]), None);
        let error = encoding.decompress(b"", 1).unwrap_err();
        assert!(error.to_string().contains("feature"), "{error}");
    }
}

#[test]
fn messages_come_back() {
    for encoding in supported() {
        for len in [1000, 100_000, 2 * MIB] {
            let message = text(len);
            let compressed = encoding.compress(&message).unwrap();
            assert!(compressed.len() < message.len());
            let back = encoding.decompress(&compressed, len).unwrap();
            assert_eq!(back, message, "{encoding}");
        }
    }
}

#[test]
fn what_does_not_get_smaller_is_not_compressed() {
    for encoding in supported() {
        for message in [&b""[..], b"a", b"no gain"] {
            assert_eq!(encoding.compress(message), None, "{encoding}");
        }
    }
}

#[test]
fn the_limit_is_exact() {
    for encoding in supported() {
        for len in [1000, 70_000, MIB] {
            let compressed = encoding.compress(&text(len)).unwrap();
            assert!(encoding.decompress(&compressed, len).is_ok());
            let error = encoding.decompress(&compressed, len - 1).unwrap_err();
            assert_eq!(error, CompressionError::TooLarge { limit: len - 1 });
        }
    }
}

#[test]
fn a_message_that_looks_like_a_bomb_is_sent_as_it_is() {
    for encoding in supported() {
        assert_eq!(encoding.compress(&vec![0; 2 * MIB]), None, "{encoding}");
        assert!(encoding.compress(&vec![0; MIB]).is_some(), "{encoding}");
    }
}

#[test]
fn a_bomb_ends_early() {
    for encoding in supported() {
        let compressed = encoding
            .codec()
            .unwrap()
            .compress(&vec![0; 16 * MIB])
            .unwrap();
        let mut error = None;
        let used = allocation_counter::measure(|| {
            error = encoding.decompress(&compressed, 16 * MIB).err();
        });
        assert_eq!(error, Some(CompressionError::Bomb), "{encoding}");
        // Up to the ratio, and twice that while the buffer grows.
        let most = (2 * MIB + 210 * compressed.len()) as u64;
        assert!(used.bytes_max < most, "{encoding} {}", used.bytes_max);
        let error = encoding.decompress(&compressed, 1000).unwrap_err();
        assert_eq!(error, CompressionError::TooLarge { limit: 1000 });
    }
}

#[cfg(feature = "zstd")]
#[test]
fn a_window_larger_than_the_message_may_be_is_refused() {
    // A frame without content whose header asks for a window of 128 MiB.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3, 0x01, 0x00, 0x00];
    let error = Encoding::Zstd.decompress(&frame, MIB).unwrap_err();
    assert_eq!(error, CompressionError::Malformed { encoding: "zstd" });
    let small = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x00, 0x01, 0x00, 0x00];
    assert!(Encoding::Zstd.decompress(&small, MIB).unwrap().is_empty());
}

#[cfg(feature = "lz4")]
#[test]
fn a_length_that_cannot_be_is_refused_before_it_is_allocated() {
    let mut bytes = 1_000_000u32.to_le_bytes().to_vec();
    bytes.extend([0; 8]);
    let mut error = None;
    let used = allocation_counter::measure(|| {
        error = Encoding::Lz4.decompress(&bytes, usize::MAX).err();
    });
    assert_eq!(error, Some(CompressionError::Malformed { encoding: "lz4" }));
    assert_eq!(used.bytes_total, 0);
}

#[test]
fn half_a_message_and_more_than_one_are_refused() {
    for encoding in supported() {
        let compressed = encoding.compress(&text(10_000)).unwrap();
        let malformed = Err(CompressionError::Malformed {
            encoding: encoding.name(),
        });
        for cut in [0, 1, 3, 4, 10, compressed.len() / 2, compressed.len() - 1] {
            let half = encoding.decompress(&compressed[..cut], MIB);
            assert_eq!(half, malformed, "{encoding} {cut}");
        }
        for more in [&b"\0"[..], &compressed] {
            let both = [&compressed[..], more].concat();
            assert_eq!(encoding.decompress(&both, MIB), malformed, "{encoding}");
        }
    }
}

proptest! {
    #[test]
    fn any_message_comes_back(message in prop::collection::vec(0u8..4, 0..5000)) {
        for encoding in supported() {
            if let Some(compressed) = encoding.compress(&message) {
                let back = encoding.decompress(&compressed, message.len()).unwrap();
                prop_assert_eq!(&back[..], &message[..]);
            }
        }
    }

    #[test]
    fn no_bytes_panic_or_pass_the_limit(bytes: Vec<u8>, limit in 0usize..5000) {
        for encoding in supported() {
            if let Ok(message) = encoding.decompress(&bytes, limit) {
                prop_assert!(message.len() <= limit);
            }
        }
    }

    #[test]
    fn damage_is_found_or_bounded(at: prop::sample::Index, bit in 0u8..8) {
        let message = text(3000);
        for encoding in supported() {
            let mut compressed = encoding.compress(&message).unwrap().to_vec();
            let at = at.index(compressed.len());
            compressed[at] ^= 1 << bit;
            if let Ok(message) = encoding.decompress(&compressed, 4000) {
                prop_assert!(message.len() <= 4000);
            }
        }
    }
}
