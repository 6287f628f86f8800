//! Implements `tokio_util`'s `Decoder` and `Encoder`, for use with its `Framed` types.

use super::{Frame, Limits, Measure, ProtocolError, Scanner, Value, Writer, write::Args};
use bytes::BytesMut;
use std::io;
use tokio_util::codec::{Decoder, Encoder};

/// Splits a byte stream into [`Frame`]s, and encodes requests and values.
///
/// ```
/// # use bourn::resp::{Limits, RespCodec};
/// # use tokio_util::codec::{Decoder, Encoder};
/// let mut codec = RespCodec::new(Limits::default());
/// let mut out = bytes::BytesMut::new();
/// codec.encode(["XLEN", "orders"].as_slice(), &mut out)?;
/// assert_eq!(&out[..], b"*2\r\n$4\r\nXLEN\r\n$6\r\norders\r\n");
///
/// let mut input = bytes::BytesMut::from(":3\r\n:4");
/// assert_eq!(codec.decode(&mut input)?.unwrap().as_bytes(), b":3\r\n");
/// assert!(codec.decode(&mut input)?.is_none());
/// # Ok::<(), bourn::resp::RespCodecError>(())
/// ```
#[derive(Debug, Clone)]
pub struct RespCodec {
    scanner: Scanner,
    resp2: bool,
}

impl RespCodec {
    /// Creates a codec at the start of a frame.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { scanner: Scanner::new(limits), resp2: false }
    }

    /// Encodes values in RESP2: [`Value::write_resp2`]. Decoding accepts both versions in any case.
    #[must_use]
    pub fn resp2(self) -> Self {
        Self { resp2: true, ..self }
    }
}

impl Default for RespCodec {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

/// The error that ends a framed connection.
///
/// ```
/// use bourn::resp::{RespCodec, RespCodecError};
/// use tokio_util::codec::Decoder;
///
/// let error = RespCodec::default().decode(&mut "?".into()).unwrap_err();
/// assert!(matches!(error, RespCodecError::Protocol(_)));
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum RespCodecError {
    /// The transport failed, or ended inside a frame.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer sent bytes that are not RESP, or exceed a limit.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

debug_is_display!(RespCodecError);

impl Decoder for RespCodec {
    type Item = Frame;
    type Error = RespCodecError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, RespCodecError> {
        let Some(len) = self.scanner.scan(src)? else {
            return Ok(None);
        };
        Ok(Some(Frame::scanned(src.split_to(len).freeze())))
    }
}

/// Encodes a request: an array of bulk strings.
impl<A: AsRef<[u8]>> Encoder<&[A]> for RespCodec {
    type Error = RespCodecError;

    fn encode(&mut self, request: &[A], dst: &mut BytesMut) -> Result<(), RespCodecError> {
        let mut measure = Measure::default();
        request.iter().for_each(|arg| measure.bytes(arg.as_ref()));
        let mut out = Vec::new();
        let mut writer = Writer::begin(&mut out, &measure);
        request.iter().for_each(|arg| writer.bytes(arg.as_ref()));
        dst.extend_from_slice(&out);
        Ok(())
    }
}

/// Encodes a value in RESP3, or in RESP2 after [`RespCodec::resp2`]. Decoded nulls, doubles and
/// streamed values may be encoded as other bytes: see [`Value::write`].
impl Encoder<&Value> for RespCodec {
    type Error = RespCodecError;

    fn encode(&mut self, value: &Value, dst: &mut BytesMut) -> Result<(), RespCodecError> {
        let mut out = Vec::new();
        if self.resp2 {
            value.write_resp2(&mut out);
        } else {
            value.write(&mut out);
        }
        dst.extend_from_slice(&out);
        Ok(())
    }
}

/// Writes the bytes of a frame unchanged.
impl Encoder<&Frame> for RespCodec {
    type Error = RespCodecError;

    fn encode(&mut self, frame: &Frame, dst: &mut BytesMut) -> Result<(), RespCodecError> {
        dst.extend_from_slice(frame.as_bytes());
        Ok(())
    }
}
