//! A line between the request and the writer: plain bytes in a shared buffer, so that handing one over costs a
//! request no allocation and the bound on waiting lines is a bound in bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf, BufMut};
use http::Version;

use super::{Format, Line};

const NUMBERS: usize = 16;
const TEXTS: usize = 17;
/// No number: as a float it is a NaN, which no time is.
const NONE: u64 = u64::MAX;

/// Where `Line::default` comes from.
pub(super) const EMPTY: Line<'static> = Line {
    arrived: UNIX_EPOCH,
    request_id: "",
    client: None,
    method: "",
    target: "",
    version: Version::HTTP_11,
    referer: None,
    user_agent: None,
    status: 0,
    error_type: "",
    key: None,
    tenant: None,
    priority: None,
    route: None,
    upstream: None,
    attempts: 0,
    model: None,
    response_model: None,
    input_tokens: None,
    output_tokens: None,
    cached_input_tokens: None,
    finish_reason: None,
    stream: false,
    cache_status: None,
    cache_id: None,
    cache_similarity: None,
    limit_bound: None,
    ttft_ms: None,
    tpot_ms: None,
    queue_ms: None,
    overhead_us: 0,
    duration_ms: 0.0,
    request_bytes: 0,
    response_bytes: 0,
    client_aborted: false,
};

/// Appends `line`. Its time is kept to the millisecond.
pub(super) fn pack(line: &Line<'_>, format: Format, out: &mut Vec<u8>) {
    let arrived = line.arrived.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (family, high, low) = address(line.client);
    let bits = |number: Option<f64>| number.map_or(NONE, f64::to_bits);
    let numbers: [u64; NUMBERS] = [
        u64::try_from(arrived.as_millis()).unwrap_or(0),
        high,
        low,
        u64::from(line.status) << 32 | u64::from(line.attempts),
        line.input_tokens.unwrap_or(NONE),
        line.output_tokens.unwrap_or(NONE),
        line.cached_input_tokens.unwrap_or(NONE),
        bits(line.cache_similarity.map(f64::from)),
        bits(line.ttft_ms),
        bits(line.tpot_ms),
        bits(line.queue_ms),
        line.overhead_us,
        line.duration_ms.to_bits(),
        line.request_bytes,
        line.response_bytes,
        u64::from_le_bytes([
            family,
            version(line.version),
            line.stream.into(),
            line.client_aborted.into(),
            (format == Format::Combined).into(),
            0,
            0,
            0,
        ]),
    ];
    let texts: [Option<&[u8]>; TEXTS] = [
        Some(line.request_id.as_bytes()),
        Some(line.method.as_bytes()),
        Some(line.target.as_bytes()),
        Some(line.error_type.as_bytes()),
        line.referer,
        line.user_agent,
        line.key.map(str::as_bytes),
        line.tenant.map(str::as_bytes),
        line.priority.map(str::as_bytes),
        line.route.map(str::as_bytes),
        line.upstream.map(str::as_bytes),
        line.model.map(str::as_bytes),
        line.response_model.map(str::as_bytes),
        line.finish_reason.map(str::as_bytes),
        line.cache_status.map(str::as_bytes),
        line.cache_id.map(str::as_bytes),
        line.limit_bound.map(str::as_bytes),
    ];
    let bytes: usize = texts.iter().flatten().map(|text| text.len()).sum();
    out.reserve(8 * NUMBERS + 4 * TEXTS + bytes);
    for number in numbers {
        out.put_u64_le(number);
    }
    for text in texts {
        // 0 is "none", anything else one more than the length.
        let length = text.and_then(|text| u32::try_from(text.len() + 1).ok());
        out.put_u32_le(length.unwrap_or(0));
        out.put_slice(text.filter(|_| length.is_some()).unwrap_or_default());
    }
}

/// Takes the first line off `bytes`.
pub(super) fn unpack<'a>(bytes: &mut &'a [u8]) -> Option<(Line<'a>, Format)> {
    let mut numbers = [0; NUMBERS];
    for number in &mut numbers {
        *number = bytes.try_get_u64_le().ok()?;
    }
    let mut texts = [None; TEXTS];
    for text in &mut texts {
        if let Some(length) = bytes.try_get_u32_le().ok()?.checked_sub(1) {
            let (found, rest) = bytes.split_at_checked(length as usize)?;
            *text = Some(found);
            *bytes = rest;
        }
    }
    let [
        arrived,
        high,
        low,
        answer,
        input,
        output,
        cached,
        similarity,
        ttft,
        tpot,
        queue,
        overhead_us,
        duration,
        request_bytes,
        response_bytes,
        flags,
    ] = numbers;
    let [
        request_id,
        method,
        target,
        error_type,
        referer,
        user_agent,
        key,
        tenant,
        priority,
        route,
        upstream,
        model,
        response_model,
        finish_reason,
        cache_status,
        cache_id,
        limit_bound,
    ] = texts;
    let [family, version, stream, aborted, combined, ..] = flags.to_le_bytes();
    let text = |bytes: Option<&'a [u8]>| bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
    let count = |number: u64| Some(number).filter(|number| *number != NONE);
    let line = Line {
        arrived: SystemTime::UNIX_EPOCH + Duration::from_millis(arrived),
        request_id: text(request_id)?,
        client: client(family, high, low),
        method: text(method)?,
        target: text(target)?,
        version: VERSIONS.get(usize::from(version)).copied()?,
        referer,
        user_agent,
        status: (answer >> 32) as u16,
        error_type: text(error_type)?,
        key: text(key),
        tenant: text(tenant),
        priority: text(priority),
        route: text(route),
        upstream: text(upstream),
        attempts: answer as u32,
        model: text(model),
        response_model: text(response_model),
        input_tokens: count(input),
        output_tokens: count(output),
        cached_input_tokens: count(cached),
        finish_reason: text(finish_reason),
        stream: stream != 0,
        cache_status: text(cache_status),
        cache_id: text(cache_id),
        cache_similarity: count(similarity).map(|bits| f64::from_bits(bits) as f32),
        limit_bound: text(limit_bound),
        ttft_ms: count(ttft).map(f64::from_bits),
        tpot_ms: count(tpot).map(f64::from_bits),
        queue_ms: count(queue).map(f64::from_bits),
        overhead_us,
        duration_ms: f64::from_bits(duration),
        request_bytes,
        response_bytes,
        client_aborted: aborted != 0,
    };
    let format = match combined {
        0 => Format::Json,
        _ => Format::Combined,
    };
    Some((line, format))
}

const VERSIONS: [Version; 5] = [
    Version::HTTP_11,
    Version::HTTP_2,
    Version::HTTP_10,
    Version::HTTP_09,
    Version::HTTP_3,
];

fn version(version: Version) -> u8 {
    VERSIONS
        .iter()
        .position(|known| *known == version)
        .map_or(0, |place| place as u8)
}

fn address(client: Option<IpAddr>) -> (u8, u64, u64) {
    match client {
        None => (0, 0, 0),
        Some(IpAddr::V4(ip)) => (4, 0, u64::from(ip.to_bits())),
        Some(IpAddr::V6(ip)) => (6, (ip.to_bits() >> 64) as u64, ip.to_bits() as u64),
    }
}

fn client(family: u8, high: u64, low: u64) -> Option<IpAddr> {
    match family {
        4 => Some(Ipv4Addr::from_bits(low as u32).into()),
        6 => Some(Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)).into()),
        _ => None,
    }
}
