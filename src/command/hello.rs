//! HELLO: returns the server's properties and sets the protocol. No I/O.

use super::arg::Arg;
use super::auth::Auth;
use super::dedicated::{self, DedicatedCommand};
use super::reply::tree;
use crate::resp::{Args, Cursor, DecodeError, Frame, Value};
#[cfg(any(test, feature = "tokio"))]
use crate::resp::{Measure, Writer};
use crate::server::Server;
use bytes::Bytes;

/// Returns the server's properties. It can also set the protocol, user and name of a
/// [`Reader`](crate::Reader)'s connection.
///
/// `HELLO [2|3 [AUTH user password] [SETNAME name]]` (Redis 6.0). Without options it changes
/// nothing. Changes apply until the connection ends; a reconnect restores the reader's settings.
///
/// Every reply can be decoded in both protocols. Debug output does not contain the password.
///
/// # Errors
///
/// [`Code::WrongPass`](crate::Code::WrongPass) when user or password is wrong, or the user is
/// disabled; [`Code::Err`](crate::Code::Err) for a name with characters other than printable ASCII,
/// or with spaces. The protocol is then unchanged. A user or name without a protocol is
/// [refused](crate::Unsent::Refused), because the command has no syntax for it.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, Hello};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// let mut reader = client.reader().await?;
/// let hello = reader.send(Hello::new()).await?;
/// println!("{} speaks RESP{}", hello.server, hello.proto);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Hello<'a> {
    protocol: Option<RespVersion>,
    auth: Option<Auth<'a>>,
    name: Option<Arg<'a>>,
}

impl<'a> Hello<'a> {
    /// Creates a HELLO that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the protocol, from the reply on. By default it is unchanged.
    pub fn protocol(self, protocol: RespVersion) -> Self {
        Self { protocol: Some(protocol), ..self }
    }

    /// Authenticates the connection as this user. Requires a protocol.
    pub fn auth(self, user: impl Into<Arg<'a>>, password: impl Into<Arg<'a>>) -> Self {
        Self { auth: Some(Auth::new(password).user(user)), ..self }
    }

    /// Sets the name of the connection; an empty name removes it. Requires a protocol.
    pub fn set_name(self, name: impl Into<Arg<'a>>) -> Self {
        Self { name: Some(name.into()), ..self }
    }
}

/// A version of the RESP protocol.
///
/// ```no_run
/// # async fn f(reader: &mut bourn::Reader) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{Hello, RespVersion};
///
/// let reply = reader.send(Hello::new().protocol(RespVersion::Resp3)).await?;
/// assert_eq!(reply.proto, 3);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RespVersion {
    /// The protocol of every new connection.
    Resp2,
    /// The protocol with maps, sets and push messages.
    Resp3,
}

/// The properties of the server and of the connection.
///
/// ```no_run
/// # async fn f(reader: &mut bourn::Reader) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::Hello;
///
/// let reply = reader.send(Hello::new()).await?;
/// println!("{} {}, {:?}", reply.server.name(), reply.server.version(), reply.role);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HelloReply {
    /// The server's name and version; 0.0.0 if it does not report a version.
    pub server: Server,
    /// The protocol in use: 2 or 3.
    pub proto: i64,
    /// The connection's id; `None` if the server does not report it.
    pub id: Option<i64>,
    /// `standalone`, `cluster` or `sentinel`; `None` if the server does not report it.
    pub mode: Option<String>,
    /// `master` or `replica`; `None` from a sentinel.
    pub role: Option<String>,
    /// Other properties by name, such as `modules`. The names share the buffer of the reply.
    pub extra: Vec<(Bytes, Value)>,
}

impl dedicated::sealed::Sealed for Hello<'_> {}

impl DedicatedCommand for Hello<'_> {
    const DEDICATED_NAME: &'static str = "HELLO";
    type DedicatedReply = HelloReply;

    fn dedicated_args(&self, out: &mut impl Args) {
        match self.protocol {
            Some(RespVersion::Resp2) => out.number(2),
            Some(RespVersion::Resp3) => out.number(3),
            None => {}
        }
        if let Some(auth) = &self.auth {
            out.text("AUTH");
            auth.list(out);
        }
        if let Some(name) = &self.name {
            out.text("SETNAME");
            name.list(out);
        }
    }

    fn dedicated_secret(&self) -> Option<&[u8]> {
        self.auth.as_ref().and_then(Auth::dedicated_secret)
    }

    fn dedicated_reply(frame: Frame) -> Result<HelloReply, DecodeError> {
        reply(&frame)
    }

    fn dedicated_refused(&self) -> Option<&'static str> {
        let options = self.auth.is_some() || self.name.is_some();
        (options && self.protocol.is_none()).then_some("HELLO takes options behind a protocol only")
    }
}

/// Decodes the reply to HELLO: a map, or a flat array in RESP2.
///
/// Every release adds keys, and not at the end. Some proxies leave out keys: a missing version is
/// unknown, and the protocol is determined by the reply's type.
pub(crate) fn reply(frame: &Frame) -> Result<HelloReply, DecodeError> {
    let bytes = frame.clone().into_bytes();
    let mut cursor = Cursor::at(&bytes, 0);
    let (mut server, mut version, mut proto) = (None, None, None);
    let (mut id, mut mode, mut role, mut extra) = (None, None, None, Vec::new());
    for _ in 0..cursor.pairs("a reply to HELLO")? {
        match cursor.string("a key of HELLO's reply")? {
            b"server" => server = text(&mut cursor, "a server's name")?,
            b"version" => version = text(&mut cursor, "a server's version")?,
            b"proto" => proto = cursor.integer_or_null("a protocol's number")?,
            b"id" => id = cursor.integer_or_null("a connection's id")?,
            b"mode" => mode = text(&mut cursor, "a server's mode")?,
            b"role" => role = text(&mut cursor, "a server's role")?,
            key => extra.push((bytes.slice_ref(key), tree(&bytes, &mut cursor))),
        }
    }
    let missing = || DecodeError::new("a server's name", "a reply to HELLO without it");
    let spoken = if frame.as_bytes().first() == Some(&b'%') { 3 } else { 2 };
    Ok(HelloReply {
        server: Server::new(&server.ok_or_else(missing)?, &version.unwrap_or_default()),
        proto: proto.unwrap_or(spoken),
        id,
        mode,
        role,
        extra,
    })
}

fn text(cursor: &mut Cursor<'_>, expected: &'static str) -> Result<Option<String>, DecodeError> {
    let text = cursor.string_or_null(expected)?;
    Ok(text.map(|text| String::from_utf8_lossy(text).into_owned()))
}

/// Appends a request of the connection itself to `out`; `args` begins with the name.
#[cfg(any(test, feature = "tokio"))]
pub(crate) fn write_request(out: &mut Vec<u8>, args: &[&[u8]]) {
    let mut measure = Measure::default();
    args.iter().for_each(|arg| measure.bytes(arg));
    let mut writer = Writer::begin(out, &measure);
    args.iter().for_each(|arg| writer.bytes(arg));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Raw, encode, encode_dedicated};
    use crate::resp::Limits;

    #[test]
    fn hello_options_follow_the_protocol() {
        let (old, new) = (RespVersion::Resp2, RespVersion::Resp3);
        let rows = [
            (Hello::new(), "HELLO", true),
            (Hello::new().protocol(old), "HELLO 2", true),
            (Hello::new().protocol(new), "HELLO 3", true),
            (Hello::new().auth("u", "p").protocol(new), "HELLO 3 AUTH u p", true),
            (Hello::new().set_name("n").protocol(new), "HELLO 3 SETNAME n", true),
            (
                Hello::new().set_name("n").auth("u", "p").protocol(old),
                "HELLO 2 AUTH u p SETNAME n",
                true,
            ),
            (Hello::new().auth("u", "p"), "HELLO AUTH u p", false),
            (Hello::new().set_name("n"), "HELLO SETNAME n", false),
        ];
        for (hello, expected, sent) in rows {
            assert_eq!(encode_dedicated(&hello), encode(&Raw::new(expected)), "{expected}");
            assert_eq!(hello.dedicated_refused().is_none(), sent, "{expected}");
        }
    }

    #[test]
    fn password_is_not_in_debug_output_or_errors() {
        let hello = Hello::new().protocol(RespVersion::Resp3).auth("ann", b"sesame");
        let digits = b"sesame".map(|byte| byte.to_string()).join(", ");
        for shown in [format!("{hello:?}"), format!("{:#?}", hello.set_name("n"))] {
            assert!(shown.contains("***"), "{shown}");
            assert!(!shown.contains("sesame") && !shown.contains(&digits), "{shown}");
        }
    }

    const REDIS: [&str; 7] = [
        "$6\r\nserver\r\n$5\r\nredis\r\n",
        "$7\r\nversion\r\n$6\r\n8.10.2\r\n",
        "$5\r\nproto\r\n:3\r\n",
        "$2\r\nid\r\n:496\r\n",
        "$4\r\nmode\r\n$10\r\nstandalone\r\n",
        "$4\r\nrole\r\n$6\r\nmaster\r\n",
        "$7\r\nmodules\r\n*1\r\n*4\r\n$4\r\nname\r\n$6\r\nserver\r\n$4\r\nargs\r\n*0\r\n",
    ];

    fn modules() -> Value {
        let (_, text) = REDIS[6].split_at("$7\r\nmodules\r\n".len());
        let value = Value::parse(text.as_bytes(), Limits::default()).unwrap();
        value.unwrap().0
    }

    fn redis() -> HelloReply {
        HelloReply {
            server: Server::new("redis", "8.10.2"),
            proto: 3,
            id: Some(496),
            mode: Some("standalone".into()),
            role: Some("master".into()),
            extra: vec![("modules".into(), modules())],
        }
    }

    fn read(bytes: String) -> Result<HelloReply, DecodeError> {
        reply(&Frame::parse(bytes, Limits::default()).unwrap())
    }

    #[test]
    fn hello_keys_are_found_by_name_in_maps_and_flat_arrays() {
        let mut backwards = REDIS;
        backwards.reverse();
        for pairs in [REDIS, backwards] {
            assert_eq!(read(format!("%7\r\n{}", pairs.concat())), Ok(redis()));
            assert_eq!(read(format!("*14\r\n{}", pairs.concat())), Ok(redis()));
        }
    }

    #[test]
    fn hello_reply_requires_only_the_server_name() {
        for missing in 0..REDIS.len() {
            let mut pairs = REDIS.to_vec();
            pairs.remove(missing);
            let expected = match missing {
                0 => None,
                1 => Some(HelloReply { server: Server::new("redis", ""), ..redis() }),
                // Only RESP3 has maps.
                2 => Some(redis()),
                3 => Some(HelloReply { id: None, ..redis() }),
                4 => Some(HelloReply { mode: None, ..redis() }),
                5 => Some(HelloReply { role: None, ..redis() }),
                _ => Some(HelloReply { extra: Vec::new(), ..redis() }),
            };
            assert_eq!(read(format!("%6\r\n{}", pairs.concat())).ok(), expected, "{pairs:?}");
        }
        assert_eq!(read("*2\r\n+server\r\n+r\r\n".to_owned()).map(|hello| hello.proto), Ok(2));
    }

    #[test]
    fn hello_replies_of_other_types_are_refused() {
        for bytes in ["+OK\r\n", "_\r\n", "*-1\r\n", "*1\r\n+server\r\n", "%1\r\n+server\r\n:1\r\n"]
        {
            assert!(read(bytes.to_owned()).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn requests_are_appended_in_order() {
        let mut out = Vec::new();
        write_request(&mut out, &[b"HELLO", b"3"]);
        write_request(&mut out, &[b"AUTH", b"a b\r\n", b""]);
        let expected =
            "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n*3\r\n$4\r\nAUTH\r\n$5\r\na b\r\n\r\n$0\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
