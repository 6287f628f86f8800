//! URL parameters and schemes of other clients, with their replacements. No I/O.

/// Returns the replacement for a parameter of another client; `None` for an unknown one.
pub(super) fn parameter(name: &str) -> Option<&'static str> {
    TABLE.iter().find(|(names, _)| names.contains(&name)).map(|(_, instead)| *instead)
}

/// Returns the replacement for a scheme of another client.
pub(super) fn scheme(name: &str) -> Option<&'static str> {
    match name {
        "redis-socket" | "redis+socket" | "valkey-socket" | "valkey+socket" => {
            Some("write redis+unix:///path for a Unix socket")
        }
        "sentinel" => Some("write redis+sentinel://host:port/master"),
        "redis-srv" | "rediss-srv" => Some("write redis+cluster://host:port with one of the names"),
        "redis+tls" | "redis-tls" | "redis+ssl" | "tls" | "ssl" => Some("write rediss://host:port"),
        "tcp" => Some("write redis://host:port"),
        _ => None,
    }
}

/// The parameters of redis-py, ioredis, node-redis, lettuce, jedis, go-redis, redis-rs and
/// StackExchange.Redis.
const TABLE: [(&[&str], &str); 16] = [
    (
        &[
            "timeout",
            "commandTimeout",
            "command_timeout",
            "response_timeout",
            "syncTimeout",
            "asyncTimeout",
        ],
        "write command_timeout_ms, in milliseconds",
    ),
    (
        &["socket_timeout", "socketTimeout", "read_timeout", "readTimeout", "write_timeout"],
        "write command_timeout_ms, in milliseconds: it covers waiting, writing and the reply",
    ),
    (
        &[
            "socket_connect_timeout",
            "connect_timeout",
            "connectTimeout",
            "connection_timeout",
            "connectionTimeout",
            "dial_timeout",
        ],
        "write connect_timeout_ms, in milliseconds",
    ),
    (
        &[
            "ssl_cert_reqs",
            "ssl_check_hostname",
            "skip_verify",
            "insecure",
            "verifyPeer",
            "verify_peer",
            "verify",
        ],
        "leave it out to verify certificates; otherwise call Tls::ca_pem or Tls::fingerprint, or in tests \
         Tls::dangerously_accept_any_certificate",
    ),
    (
        &[
            "ssl_ca_certs",
            "ssl_ca_path",
            "ssl_ca_data",
            "ssl_certfile",
            "ssl_keyfile",
            "ssl_min_version",
        ],
        "call Config::tls with Tls::ca_pem or Tls::client_pem",
    ),
    (&["ssl", "tls", "useSsl"], "write the scheme rediss:// in place of redis://"),
    (&["family"], "leave it out: IPv6 and IPv4 addresses of a name are both tried"),
    (
        &["decode_responses", "encoding", "encoding_errors"],
        "leave it out: values are bytes, and each type decodes its own",
    ),
    (
        &[
            "max_retries",
            "maxRetriesPerRequest",
            "retry_on_timeout",
            "retry_on_error",
            "retries",
            "min_retry_backoff",
            "max_retry_backoff",
            "retryStrategy",
            "abortConnect",
            "connectRetry",
        ],
        "call Config::retry and Config::reconnect",
    ),
    (
        &[
            "max_connections",
            "pool_size",
            "poolSize",
            "pool_timeout",
            "pool_fifo",
            "min_idle_conns",
            "max_idle_conns",
            "max_active_conns",
            "conn_max_idle_time",
            "conn_max_lifetime",
            "max_conn_age",
            "idle_timeout",
            "idle_check_frequency",
        ],
        "leave it out: there is no pool, all commands share one connection",
    ),
    (&["health_check_interval", "pingInterval"], "call Config::probe"),
    (&["socket_keepalive", "keepAlive", "keepalive", "noDelay"], "call Config::keepalive"),
    (
        &["lib_name", "lib_version", "disable_identity", "identity_suffix", "clientInfoTag"],
        "write client_info=false to send no library name",
    ),
    (
        &["enableReadyCheck", "enableOfflineQueue", "lazyConnect", "commandsQueueMaxLength"],
        "leave it out: commands wait for a connection until their timeout",
    ),
    (
        &["sentinelMasterId", "masterName", "master_name", "service_name", "addr"],
        "write the address of the master",
    ),
    (&["name", "clientname"], "write client_name"),
];
