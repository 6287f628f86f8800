//! The codec finds the same frames as the scanner, in a stream that arrives in chunks.

use super::trees::{frame, ways, written};
use bourn::resp::{Frame, Limits, ProtocolError, RespCodec, RespCodecError, Value};
use bytes::BytesMut;
use futures_util::StreamExt;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;
use tokio_util::codec::{Decoder, Encoder, FramedRead};

proptest! {
    #[test]
    fn codec_decodes_frames_in_any_chunks(
        values in prop::collection::vec((frame(), ways()), 1..6),
        sizes in prop::collection::vec(1..400usize, 1..9),
    ) {
        let frames: Vec<_> = values.iter().map(|(value, ways)| written(value, ways)).collect();
        let bytes = frames.concat();
        let mut codec = RespCodec::default();
        let (mut buf, mut found) = (BytesMut::new(), Vec::<Frame>::new());
        let mut rest = bytes.as_slice();
        for size in sizes.into_iter().cycle() {
            let (piece, behind) = rest.split_at(size.min(rest.len()));
            rest = behind;
            buf.extend_from_slice(piece);
            while let Some(frame) = codec.decode(&mut buf).unwrap() {
                found.push(frame);
            }
            if rest.is_empty() {
                break;
            }
        }
        prop_assert!(buf.is_empty());
        prop_assert!(codec.decode_eof(&mut buf).unwrap().is_none());
        let found: Vec<_> = found.iter().map(Frame::as_bytes).collect();
        prop_assert_eq!(found, frames);
    }

    #[test]
    fn value_encoding_matches_the_reference_writer(value in frame()) {
        let mut out = BytesMut::from("+before\r\n");
        RespCodec::default().encode(&value, &mut out).unwrap();
        prop_assert_eq!(out.split_off(9), written(&value, &[]));
    }
}

#[test]
fn frames_encode_byte_for_byte_and_values_in_either_version() {
    let rows = [
        ("$-1\r\n", "_\r\n", "$-1\r\n"),
        ("*-1\r\n", "_\r\n", "$-1\r\n"),
        (",3\r\n", ",3.0\r\n", "$3\r\n3.0\r\n"),
        (",inf\r\n", ",inf\r\n", "$3\r\ninf\r\n"),
        ("#t\r\n", "#t\r\n", ":1\r\n"),
        ("(12\r\n", "(12\r\n", "$2\r\n12\r\n"),
        ("=5\r\ntxt:a\r\n", "=5\r\ntxt:a\r\n", "$1\r\na\r\n"),
        ("!5\r\nA\r\nBC\r\n", "!5\r\nA\r\nBC\r\n", "-A  BC\r\n"),
        ("!1\r\nA\r\n", "-A\r\n", "-A\r\n"),
        ("%1\r\n+k\r\n~1\r\n_\r\n", "%1\r\n+k\r\n~1\r\n_\r\n", "*2\r\n+k\r\n*1\r\n$-1\r\n"),
        (
            "*2\r\n|1\r\n+a\r\n%1\r\n:1\r\n:2\r\n:3\r\n:4\r\n",
            "*2\r\n|1\r\n+a\r\n%1\r\n:1\r\n:2\r\n:3\r\n:4\r\n",
            "*2\r\n:3\r\n:4\r\n",
        ),
        ("$?\r\n;1\r\na\r\n;0\r\n", "$1\r\na\r\n", "$1\r\na\r\n"),
    ];
    for (bytes, resp3, resp2) in rows {
        let frame = Frame::parse(bytes, Limits::default()).unwrap();
        let value = Value::from(&frame);
        let encoded = |mut codec: RespCodec| {
            let mut out = BytesMut::new();
            codec.encode(&value, &mut out).unwrap();
            String::from_utf8(out.to_vec()).unwrap()
        };
        assert_eq!(encoded(RespCodec::default()), resp3, "{bytes:?}");
        assert_eq!(encoded(RespCodec::default().resp2()), resp2, "{bytes:?}");
        let mut out = BytesMut::new();
        RespCodec::default().encode(&frame, &mut out).unwrap();
        assert_eq!(out, bytes);
    }
}

#[test]
fn request_is_an_array_of_bulk_strings() {
    let mut out = BytesMut::new();
    let mut codec = RespCodec::default();
    codec.encode([&b"SET"[..], b"a\r\nb", b""].as_slice(), &mut out).unwrap();
    assert_eq!(&out[..], b"*3\r\n$3\r\nSET\r\n$4\r\na\r\nb\r\n$0\r\n\r\n");
}

#[test]
fn end_of_stream_inside_a_frame_is_an_error() {
    let mut buf = BytesMut::from("+OK\r\n$5\r\nhel");
    let mut codec = RespCodec::new(Limits::default());
    assert_eq!(codec.decode_eof(&mut buf).unwrap().unwrap().as_bytes(), b"+OK\r\n");
    assert!(matches!(codec.decode_eof(&mut buf), Err(RespCodecError::Io(_))));
}

#[tokio::test]
async fn framed_stream_ends_after_its_error() {
    let (near, mut far) = tokio::io::duplex(16);
    let mut framed = FramedRead::new(near, RespCodec::default());
    let value = Value::Bulk(vec![b'a'; 100]);
    let write = async {
        far.write_all(&written(&value, &[1])).await.unwrap();
        far.write_all(b":1\r\n@").await.unwrap();
    };
    let read = async {
        let frame = framed.next().await.unwrap().unwrap();
        assert_eq!(Value::from(&frame), value);
        assert_eq!(framed.next().await.unwrap().unwrap().as_bytes(), b":1\r\n");
        let error = framed.next().await.unwrap().unwrap_err();
        assert!(matches!(
            error,
            RespCodecError::Protocol(ProtocolError::UnknownType { byte: b'@' })
        ));
    };
    tokio::join!(write, read);
}
