//! Errors of URLs and settings. No I/O.

/// The reason why a URL or a setting is invalid.
///
/// ```
/// use bourn::{Config, ConfigError};
///
/// let error = "http://10.0.0.1".parse::<Config>().unwrap_err();
/// assert_eq!(error, ConfigError::Scheme);
/// assert!(error.to_string().starts_with("unknown URL scheme; expected redis"));
/// ```
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The URL does not begin with a known scheme and `://`.
    #[error(
        "unknown URL scheme; expected redis, rediss, valkey, valkeys, redis+unix, valkey+unix, unix, \
         or one of redis, rediss, valkey and valkeys with +cluster or +sentinel"
    )]
    Scheme,
    /// TLS was requested, and this build does not have the feature `tls`.
    #[error("rediss and valkeys URLs need the feature `tls` of bourn, which this build lacks")]
    Tls,
    /// TLS was requested over a Unix socket, where servers do not support it.
    #[error("TLS is not supported over a Unix socket")]
    UnixTls,
    /// The host is missing or malformed.
    #[error("missing or malformed host in the URL")]
    Host,
    /// The port is not a number from 1 to 65535.
    #[error("malformed port in the URL; expected 1 to 65535")]
    Port,
    /// A `%` without two hexadecimal digits, bytes that are not UTF-8, or a character that must be
    /// encoded: `#`, or a misplaced `?` or `@`.
    #[error(
        "malformed percent-encoding in the URL; encode `#`, `?` and `@` as `%23`, `%3F` and `%40`"
    )]
    Encoding,
    /// The database is not a number.
    #[error("malformed database number in the URL")]
    Database,
    /// A query parameter is not known.
    #[error("unknown parameter in the URL: {name}")]
    Parameter {
        /// The parameter's name.
        name: String,
    },
    /// A parameter, scheme or fragment of other clients. The error names the replacement.
    #[error("{name} is not supported in URLs: {instead}")]
    Foreign {
        /// The parameter's name.
        name: String,
        /// The text to write, or the function to call, in its place.
        instead: &'static str,
    },
    /// A Unix socket was requested on a system that is not Unix.
    #[error("Unix sockets are supported on Unix only: write redis://host:port")]
    Unix,
    /// A query parameter's value is malformed.
    #[error("malformed value of the parameter {name} in the URL")]
    Value {
        /// The parameter's name.
        name: &'static str,
    },
    /// A setting is outside its range.
    #[error("{setting} must be {range}")]
    Range {
        /// The setting's name.
        setting: &'static str,
        /// The permitted range.
        range: &'static str,
    },
    /// A client was created outside a tokio runtime.
    #[error(
        "no tokio runtime; create the client inside one, or pass a handle to `Config::runtime`"
    )]
    NoRuntime,
    /// A client of a cluster was to be created with a dialler, which cannot know the node that a
    /// connection is for.
    #[error("a cluster has several addresses; use `Client::connect` and `Config::map_address`")]
    ClusterDialler,
    /// A client of a master that sentinels watch was to be created with a dialler, which cannot know
    /// the master's address.
    #[error("the address of the master comes from the sentinels; use `Client::connect`")]
    SentinelDialler,
    /// The name of the master is missing, or has a space or a control character.
    #[error("missing or malformed name of the master; write redis+sentinel://host:port/name")]
    MasterName,
    /// The client name has a space or a control character, which no server accepts.
    #[error("client_name must not contain spaces or control characters")]
    ClientName,
}

debug_is_display!(ConfigError);
