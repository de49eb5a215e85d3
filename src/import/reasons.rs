//! Why a directive has no counterpart, and which ones protect something.

/// The reason that stands beside a directive nothing made use of.
pub(super) fn of(name: &str) -> &'static str {
    match name {
        "user" => "the systemd unit says as whom Tollgate runs",
        "pid" | "daemon" | "master_process" | "lock_file" => "systemd keeps track of the process",
        "worker_rlimit_nofile" => "LimitNOFILE of the systemd unit",
        "worker_connections" => "see client.max_connections",
        "events"
        | "use"
        | "multi_accept"
        | "accept_mutex"
        | "worker_cpu_affinity"
        | "worker_priority"
        | "pcre_jit"
        | "timer_resolution"
        | "thread_pool"
        | "aio" => "nothing to set in Tollgate",
        "sendfile"
        | "tcp_nopush"
        | "tcp_nodelay"
        | "directio"
        | "sendfile_max_chunk"
        | "open_file_cache"
        | "reset_timedout_connection" => "Tollgate does what is right by itself",
        "load_module" => "Tollgate has no modules",
        "root"
        | "alias"
        | "index"
        | "try_files"
        | "autoindex"
        | "error_page"
        | "types"
        | "default_type"
        | "types_hash_max_size"
        | "expires"
        | "etag"
        | "charset" => "Tollgate serves no files",
        name if name.starts_with("gzip") || name.starts_with("brotli") => {
            "Tollgate passes answers on as they came"
        }
        name if name.starts_with("ssl_") => "Tollgate's TLS decides this by itself",
        name if name.starts_with("proxy_cache") => {
            "see caches: Tollgate caches answers of models only"
        }
        name if name.starts_with("proxy_") => "no such setting for peers",
        name if name.starts_with("fastcgi_")
            || name.starts_with("uwsgi_")
            || name.starts_with("scgi_")
            || name.starts_with("grpc_")
            || name.starts_with("memcached_") =>
        {
            "Tollgate speaks HTTP to its peers only"
        }
        "stream" | "mail" => "Tollgate balances HTTP only",
        "map" | "geo" | "split_clients" | "set" | "if" | "perl_set" => "Tollgate has no variables",
        "log_format" => "access_log.format is json or combined",
        "access_log" | "error_log" => "there is one such log for all",
        "server_tokens" => "Tollgate does not name itself",
        "resolver" | "resolver_timeout" => {
            "names are resolved by the system, again at resolve_every"
        }
        "rewrite" => "not a rewrite that Tollgate can express",
        "limit_req_status" | "limit_conn_status" => "a limit answers 429",
        "keepalive" | "keepalive_requests" | "keepalive_time" | "keepalive_disable" => {
            "connections are kept without being told"
        }
        "client_body_buffer_size"
        | "client_body_temp_path"
        | "client_header_buffer_size"
        | "client_body_in_file_only"
        | "client_body_in_single_buffer" => {
            "bodies are never written to files; see max_body and client.max_header_bytes"
        }
        "zone" => "there is one process: nothing is shared",
        name if name.contains("_hash_") => "nothing to set in Tollgate",
        name if name.contains("lua") || name.starts_with("js_") || name.starts_with("perl") => {
            "Tollgate runs no scripts"
        }
        _ => "no counterpart in Tollgate",
    }
}

/// Whether a route without this directive would let in those it kept out.
pub(super) fn protects(name: &str) -> bool {
    matches!(
        name,
        "auth_basic"
            | "auth_request"
            | "auth_jwt"
            | "auth_jwt_require"
            | "auth_digest"
            | "auth_pam"
            | "limit_except"
            | "secure_link"
            | "secure_link_secret"
            | "ssl_verify_client"
            | "valid_referers"
            | "access_by_lua_block"
            | "access_by_lua_file"
            | "access_by_lua"
            | "satisfy"
    )
}
