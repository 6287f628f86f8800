//! Parses URLs: `scheme://[user[:password]@]host[:port][/db][?parameters]`. No I/O.

use super::cluster::PORT;
use super::{Address, Config, Protocol, foreign, sentinel};
use crate::error::ConfigError;
use std::str::FromStr;
use std::time::Duration;

impl FromStr for Config {
    type Err = ConfigError;

    fn from_str(url: &str) -> Result<Self, ConfigError> {
        parse(url)
    }
}

impl TryFrom<&str> for Config {
    type Error = ConfigError;

    fn try_from(url: &str) -> Result<Self, ConfigError> {
        url.parse()
    }
}

impl TryFrom<&String> for Config {
    type Error = ConfigError;

    fn try_from(url: &String) -> Result<Self, ConfigError> {
        url.parse()
    }
}

impl TryFrom<String> for Config {
    type Error = ConfigError;

    fn try_from(url: String) -> Result<Self, ConfigError> {
        url.parse()
    }
}

fn parse(url: &str) -> Result<Config, ConfigError> {
    // A secret in a file often ends with a line end. No part of a URL begins or ends with white
    // space.
    let (scheme, rest) = url.trim().split_once("://").ok_or(ConfigError::Scheme)?;
    // redis-rs accepts this fragment.
    if let Some(insecure) = rest.strip_suffix("#insecure") {
        return Err(if insecure.contains('#') {
            ConfigError::Encoding
        } else {
            unsupported("#insecure", foreign::parameter("insecure"))
        });
    }
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    // A password with a raw `#` or `?` would be split in the wrong place, and the error would show
    // parts of it.
    if rest.contains('#') || query.contains('@') {
        return Err(ConfigError::Encoding);
    }
    let config = match scheme.to_ascii_lowercase().as_str() {
        "redis" | "valkey" => tcp(place)?,
        #[cfg(unix)]
        "redis+unix" | "valkey+unix" | "unix" => unix(place)?,
        #[cfg(not(unix))]
        "redis+unix" | "valkey+unix" | "unix" => return Err(ConfigError::Unix),
        #[cfg(feature = "tls")]
        "rediss" | "valkeys" => tcp(place)?.tls(super::Tls::new()),
        #[cfg(not(feature = "tls"))]
        "rediss" | "valkeys" => return Err(ConfigError::Tls),
        "redis+cluster" | "valkey+cluster" | "redis-cluster" | "valkey-cluster" => cluster(place)?,
        #[cfg(feature = "tls")]
        "rediss+cluster" | "valkeys+cluster" | "rediss-cluster" | "valkeys-cluster" => {
            cluster(place)?.tls(super::Tls::new())
        }
        #[cfg(not(feature = "tls"))]
        "rediss+cluster" | "valkeys+cluster" | "rediss-cluster" | "valkeys-cluster" => {
            return Err(ConfigError::Tls);
        }
        "redis+sentinel" | "valkey+sentinel" | "redis-sentinel" | "valkey-sentinel" => {
            sentinel(place)?
        }
        #[cfg(feature = "tls")]
        "rediss+sentinel" | "valkeys+sentinel" | "rediss-sentinel" | "valkeys-sentinel" => {
            sentinel(place)?.tls(super::Tls::new())
        }
        #[cfg(not(feature = "tls"))]
        "rediss+sentinel" | "valkeys+sentinel" | "rediss-sentinel" | "valkeys-sentinel" => {
            return Err(ConfigError::Tls);
        }
        scheme => match foreign::scheme(scheme) {
            Some(instead) => return Err(unsupported(&format!("{scheme}://"), Some(instead))),
            None => return Err(ConfigError::Scheme),
        },
    };
    let config =
        query.split('&').filter(|pair| !pair.is_empty()).try_fold(config, |config, pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            parameter(config, &decode(name)?, &decode(value)?)
        })?;
    config.check()?;
    Ok(config)
}

fn tcp(place: &str) -> Result<Config, ConfigError> {
    let (identity, servers, path) = parts(place);
    let (host, port) = server(servers, PORT)?;
    identified(Config::tcp(host, port), identity, path)
}

/// Parses the hosts of a cluster, separated by commas.
fn cluster(place: &str) -> Result<Config, ConfigError> {
    let (identity, servers, path) = parts(place);
    identified(Config::cluster(list(servers, PORT)?), identity, path)
}

/// Parses the hosts of sentinels, separated by commas, and the name of the master.
fn sentinel(place: &str) -> Result<Config, ConfigError> {
    let (identity, servers, path) = parts(place);
    let (master, database) = path.split_once('/').unwrap_or((path, ""));
    let config = Config::sentinel(decode(master)?, list(servers, sentinel::PORT)?);
    identified(config, identity, database)
}

/// Parses `host[:port][,host[:port]...]`.
fn list(servers: &str, default: u16) -> Result<Vec<String>, ConfigError> {
    let address = |server_text| {
        let (host, port) = server(server_text, default)?;
        Ok(Address::Tcp { host, port }.to_string())
    };
    servers.split(',').map(address).collect()
}

/// Splits `[identity@]servers[/path]`.
fn parts(place: &str) -> (Option<&str>, &str, &str) {
    let (authority, path) = place.split_once('/').unwrap_or((place, ""));
    // A password may contain `@`, a host may not.
    match authority.rsplit_once('@') {
        Some((identity, servers)) => (Some(identity), servers, path),
        None => (None, authority, path),
    }
}

/// Parses `host[:port]`.
fn server(server: &str, default: u16) -> Result<(String, u16), ConfigError> {
    let (host, port) = if let Some(rest) = server.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or(ConfigError::Host)?;
        let port = match port {
            "" => None,
            port => Some(port.strip_prefix(':').ok_or(ConfigError::Host)?),
        };
        (ipv6(host)?, port)
    } else {
        match server.split_once(':') {
            Some((host, port)) => (decode(host)?, Some(port)),
            None => (decode(server)?, None),
        }
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(ConfigError::Host);
    }
    let port = match port {
        None | Some("") => default,
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => {
            port.parse().ok().filter(|port| *port > 0).ok_or(ConfigError::Port)?
        }
        Some(_) => return Err(ConfigError::Port),
    };
    Ok((host, port))
}

/// Sets user, password and database.
fn identified(
    mut config: Config,
    identity: Option<&str>,
    path: &str,
) -> Result<Config, ConfigError> {
    if let Some(identity) = identity {
        let (user, password) = match identity.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (identity, None),
        };
        if !user.is_empty() {
            config = config.user(decode(user)?);
        }
        if let Some(password) = password {
            config = config.password(decode(password)?);
        }
    }
    match path.trim_end_matches('/') {
        "" => Ok(config),
        database => Ok(config.database(database.parse().map_err(|_| ConfigError::Database)?)),
    }
}

/// Parses an IPv6 address with an optional zone, after `%25` (RFC 6874) or after a raw `%`.
fn ipv6(text: &str) -> Result<String, ConfigError> {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    if address.parse::<core::net::Ipv6Addr>().is_err() {
        return Err(ConfigError::Host);
    }
    Ok(match zone {
        None => address.to_owned(),
        Some("") => return Err(ConfigError::Host),
        Some(zone) => match zone.strip_prefix("25").filter(|zone| !zone.is_empty()) {
            Some(zone) => format!("{address}%{}", decode(zone)?),
            None => format!("{address}%{zone}"),
        },
    })
}

fn unsupported(name: &str, instead: Option<&'static str>) -> ConfigError {
    match instead {
        Some(instead) => ConfigError::Foreign { name: name.to_owned(), instead },
        None => ConfigError::Parameter { name: name.to_owned() },
    }
}

#[cfg(unix)]
fn unix(place: &str) -> Result<Config, ConfigError> {
    if !place.starts_with('/') {
        return Err(ConfigError::Host);
    }
    Ok(Config::unix(decode(place)?))
}

fn parameter(config: Config, name: &str, value: &str) -> Result<Config, ConfigError> {
    let ms = |name| {
        let ms = value.parse().map_err(|_| ConfigError::Value { name })?;
        Ok(Duration::from_millis(ms))
    };
    Ok(match name {
        "db" | "database" => config.database(value.parse().map_err(|_| ConfigError::Database)?),
        "user" | "username" => config.user(value),
        "password" => config.password(value),
        "sentinel_user" => config.sentinel_user(value),
        "sentinel_password" => config.sentinel_password(value),
        "client_name" | "clientName" | "connectionName" => config.client_name(value),
        "client_info" => config.send_client_info(match value {
            "true" => true,
            "false" => false,
            _ => return Err(ConfigError::Value { name: "client_info" }),
        }),
        "protocol" => config.protocol(match value {
            "3" => Protocol::Auto,
            "2" => Protocol::Resp2,
            "resp3" => return Err(unsupported("protocol=resp3", Some("write protocol=3"))),
            "resp2" => return Err(unsupported("protocol=resp2", Some("write protocol=2"))),
            _ => return Err(ConfigError::Value { name: "protocol" }),
        }),
        "connect_timeout_ms" => config.connect_timeout(ms("connect_timeout_ms")?),
        "command_timeout_ms" => config.command_timeout(ms("command_timeout_ms")?),
        name => return Err(unsupported(name, foreign::parameter(name))),
    })
}

/// Decodes `%XX` to bytes; the result must be UTF-8.
fn decode(text: &str) -> Result<String, ConfigError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (&[high, low], tail) = tail.split_first_chunk().ok_or(ConfigError::Encoding)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(ConfigError::Encoding);
        let byte = digit(high)? * 16 + digit(low)?;
        bytes.push(u8::try_from(byte).map_err(|_| ConfigError::Encoding)?);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| ConfigError::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_sets_address_user_password_and_database() {
        let rows = [
            ("redis://localhost", "localhost", 6379, None, None, 0),
            ("valkey://h:7000/3", "h", 7000, None, None, 3),
            ("redis://:pw@h", "h", 6379, None, Some("pw"), 0),
            ("redis://u@h/", "h", 6379, Some("u"), None, 0),
            ("redis://u:p%40s:s@[::1]:7001/0", "::1", 7001, Some("u"), Some("p@s:s"), 0),
            ("redis://u:p@s@h", "h", 6379, Some("u"), Some("p@s"), 0),
            ("REDIS://h?db=2&user=a%20b&password=", "h", 6379, Some("a b"), Some(""), 2),
        ];
        for (url, host, port, user, password, database) in rows {
            let config = parse(url).expect(url);
            assert_eq!(config.address, Address::Tcp { host: host.into(), port }, "{url}");
            assert_eq!(config.user.as_deref(), user, "{url}");
            assert_eq!(config.password.as_ref().map(|p| p.reveal()), password, "{url}");
            assert_eq!(config.database, database, "{url}");
        }
    }

    #[test]
    fn white_space_around_a_url_is_ignored() {
        for url in [
            "redis://h:6379\n",
            "redis://h:6379/0\r\n",
            " redis://h",
            "redis://:pw@h/0?protocol=2\n",
        ] {
            let config = parse(url).expect(url);
            assert_eq!(config.address, Address::Tcp { host: "h".into(), port: 6379 }, "{url:?}");
        }
        assert_eq!(parse("redis://h\nredis://i").unwrap_err(), ConfigError::Host);
    }

    #[test]
    fn cluster_url_has_several_hosts_and_one_identity() {
        for (url, seeds) in [
            ("redis+cluster://a:7000,b", vec![("a", 7000), ("b", 6379)]),
            (
                "valkey+cluster://u:p%40s@[::1]:7000,b:1/0?client_name=n",
                vec![("::1", 7000), ("b", 1)],
            ),
            ("redis-cluster://only", vec![("only", 6379)]),
        ] {
            let config = parse(url).expect(url);
            let owned = |(host, port): (&str, u16)| (host.to_owned(), port);
            let cluster = config.cluster.as_ref().expect("settings of a cluster");
            assert_eq!(cluster.seeds, seeds.into_iter().map(owned).collect::<Vec<_>>(), "{url}");
            let password = config.password.as_ref().map(|password| password.reveal());
            let identity = (config.user.as_deref(), password);
            let expected = (Some("u"), Some("p@s"));
            assert_eq!(identity, if url.contains('@') { expected } else { (None, None) }, "{url}");
        }
        for url in ["redis+cluster://a,,b", "redis+cluster://", "redis+cluster://a, b"] {
            assert_eq!(parse(url).expect_err(url), ConfigError::Host, "{url}");
        }
    }

    #[test]
    fn sentinel_url_has_hosts_a_master_and_a_database() {
        let url = "redis+sentinel://u:p@s1,[::1]:7000/my%20m/2?sentinel_user=a&sentinel_password=b";
        assert_eq!(parse(url).unwrap_err(), ConfigError::MasterName);
        let config = parse(&url.replace("%20", "-")).unwrap();
        let sentinel = config.sentinel.as_ref().unwrap();
        assert_eq!(sentinel.master, "my-m");
        assert_eq!(sentinel.sentinels, [("s1".to_owned(), 26_379), ("::1".to_owned(), 7000)]);
        assert_eq!((config.database, config.user.as_deref()), (2, Some("u")));
        assert_eq!(sentinel.user.as_deref(), Some("a"));
        assert_eq!(sentinel.password.as_ref().map(|p| p.reveal()), Some("b"));
        assert_eq!(parse("valkey+sentinel://s/m").unwrap().database, 0);
        assert_eq!(parse("redis-sentinel://s").unwrap_err(), ConfigError::MasterName);
        assert_eq!(parse("redis+sentinel:///m").unwrap_err(), ConfigError::Host);
    }

    #[test]
    fn ipv6_address_may_have_a_zone() {
        let rows = [
            ("redis://[fe80::1%25eth0]:7", "fe80::1%eth0", "[fe80::1%eth0]:7"),
            ("redis://[fe80::1%eth0]:7", "fe80::1%eth0", "[fe80::1%eth0]:7"),
            ("redis://[fe80::1%252]:7", "fe80::1%2", "[fe80::1%2]:7"),
            ("redis://[fe80::1%25]:7", "fe80::1%25", "[fe80::1%25]:7"),
            ("redis://[::1]:7", "::1", "[::1]:7"),
        ];
        for (url, host, shown) in rows {
            let config = parse(url).expect(url);
            assert_eq!(config.address, Address::Tcp { host: host.into(), port: 7 }, "{url}");
            assert_eq!(config.address.to_string(), shown);
        }
        for url in ["redis://[fe80::1%]", "redis://[eth0%fe80::1]", "redis://[%25eth0]"] {
            assert_eq!(parse(url).expect_err(url), ConfigError::Host, "{url}");
        }
    }

    #[test]
    fn parameters_of_other_clients_are_accepted_or_named_with_a_replacement() {
        let config =
            parse("redis://h?database=3&username=u&clientName=n&client_info=false").unwrap();
        assert_eq!((config.database, config.user.as_deref()), (3, Some("u")));
        assert_eq!((config.client_name.as_deref(), config.client_info), (Some("n"), false));
        let rows = [
            ("redis://h?protocol=resp3", "protocol=3"),
            ("redis://h?timeout=10s", "command_timeout_ms"),
            ("redis://h?socket_timeout=5", "command_timeout_ms"),
            ("redis://h?read_timeout=5s", "command_timeout_ms"),
            ("redis://h?dial_timeout=5s", "connect_timeout_ms"),
            ("redis://h?socket_connect_timeout=5", "connect_timeout_ms"),
            ("redis://h?ssl_cert_reqs=none", "dangerously_accept_any_certificate"),
            ("redis://h?skip_verify=true", "dangerously_accept_any_certificate"),
            ("redis://h/#insecure", "dangerously_accept_any_certificate"),
            ("redis://h?ssl_ca_certs=/ca.pem", "Tls::ca_pem"),
            ("redis://h?ssl=true", "rediss://"),
            ("redis://h?family=6", "leave it out"),
            ("redis://h?decode_responses=True", "leave it out"),
            ("redis://h?max_retries=3", "Config::retry"),
            ("redis://h?pool_size=10", "no pool"),
            ("redis://h?health_check_interval=30", "Config::probe"),
            ("redis-socket:///tmp/s", "redis+unix:///path"),
            ("redis+socket:///tmp/s", "redis+unix:///path"),
            ("redis-sentinel://h:26379/0#m", "percent-encoding"),
            ("redis+tls://h", "rediss://"),
        ];
        for (url, words) in rows {
            let error = parse(url).expect_err(url).to_string();
            assert!(error.contains(words), "{url}: {error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn unix_url_sets_path_and_parameters() {
        let config = parse("redis+unix:///tmp/a%20b.sock?db=1&protocol=2&client_name=n").unwrap();
        assert_eq!(config.address, Address::Unix { path: "/tmp/a b.sock".into() });
        assert_eq!((config.database, config.protocol), (1, Protocol::Resp2));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn rediss_and_valkeys_urls_enable_tls() {
        for (url, tls) in [
            ("redis://h", false),
            ("valkey://h", false),
            ("rediss://u:p@h:6380/1", true),
            ("valkeys://h?db=1", true),
            ("redis+cluster://h,i", false),
            ("rediss+cluster://h,i", true),
            ("valkeys+cluster://h", true),
        ] {
            assert_eq!(parse(url).expect(url).tls.is_some(), tls, "{url}");
        }
        #[cfg(unix)]
        {
            let unix = parse("unix:///socket").unwrap().tls(crate::config::Tls::new());
            assert_eq!(unix.check(), Err(ConfigError::UnixTls));
        }
    }

    #[test]
    fn invalid_urls_name_the_malformed_part() {
        let rows = [
            ("localhost:6379", ConfigError::Scheme),
            ("http://h", ConfigError::Scheme),
            #[cfg(not(feature = "tls"))]
            ("rediss://h", ConfigError::Tls),
            #[cfg(feature = "tls")]
            ("rediss:///socket", ConfigError::Host),
            ("rediss+unix:///socket", ConfigError::Scheme),
            ("redis://", ConfigError::Host),
            ("redis://[::1", ConfigError::Host),
            ("redis://[x]", ConfigError::Host),
            ("redis://h:0", ConfigError::Port),
            ("redis://h:65536", ConfigError::Port),
            ("redis://h:+1", ConfigError::Port),
            ("redis://h/x", ConfigError::Database),
            ("redis://u:%zz@h", ConfigError::Encoding),
            ("redis://u:%ff@h", ConfigError::Encoding),
            ("redis://u:12#ss@h", ConfigError::Encoding),
            ("redis://u:12?ss@h", ConfigError::Encoding),
            ("redis://h?colour=red", ConfigError::Parameter { name: "colour".into() }),
            ("redis://h?protocol=4", ConfigError::Value { name: "protocol" }),
            ("redis://h?client_name=a%20b", ConfigError::ClientName),
            ("redis://h?client_info=no", ConfigError::Value { name: "client_info" }),
            #[cfg(unix)]
            ("unix://relative", ConfigError::Host),
            #[cfg(not(unix))]
            ("unix:///socket", ConfigError::Unix),
        ];
        for (url, error) in rows {
            assert_eq!(parse(url).expect_err(url), error, "{url}");
        }
    }
}
