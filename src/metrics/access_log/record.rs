//! A line between the request and the writer: plain bytes in a shared buffer, so that handing one over costs a
//! request no allocation and the bound on waiting lines is a bound in bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Version;

use super::{Format, Line};

const NUMBERS: usize = 16;
const TEXTS: usize = 15;
/// Headers, which may be anything.
const RAW: usize = 2;
/// What each line takes beside its texts, in bytes.
const FIXED: usize = 8 * NUMBERS + 4 * (TEXTS + RAW);
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
    let texts: [Option<&str>; TEXTS] = [
        Some(line.request_id),
        Some(line.method),
        Some(line.target),
        Some(line.error_type),
        line.key,
        line.tenant,
        line.priority,
        line.route,
        line.upstream,
        line.model,
        line.response_model,
        line.finish_reason,
        line.cache_status,
        line.cache_id,
        line.limit_bound,
    ];
    let raw: [Option<&[u8]>; RAW] = [line.referer, line.user_agent];
    // 0 is "none", anything else one more than the length. What is longer than a request can be is left out.
    let length =
        |bytes: Option<&[u8]>| bytes.map_or(0, |bytes| u32::try_from(bytes.len() + 1).unwrap_or(0));
    let mut fixed = [0; FIXED];
    let (eights, fours) = fixed.split_at_mut(8 * NUMBERS);
    for (place, number) in eights.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    let texts_and_raw = texts.iter().map(|text| text.map(str::as_bytes)).chain(raw);
    for (place, bytes) in fours.chunks_exact_mut(4).zip(texts_and_raw) {
        place.copy_from_slice(&length(bytes).to_le_bytes());
    }
    out.reserve(FIXED + 512);
    out.extend_from_slice(&fixed);
    for text in texts.into_iter().flatten() {
        out.extend_from_slice(text.as_bytes());
    }
    for bytes in raw.into_iter().flatten() {
        out.extend_from_slice(bytes);
    }
}

/// Takes the first line off `bytes`.
pub(super) fn unpack<'a>(bytes: &mut &'a [u8]) -> Option<(Line<'a>, Format)> {
    let (fixed, after) = bytes.split_at_checked(FIXED)?;
    *bytes = after;
    let (eights, fours) = fixed.split_at(8 * NUMBERS);
    let mut numbers = [0; NUMBERS];
    for (number, place) in numbers.iter_mut().zip(eights.chunks_exact(8)) {
        *number = u64::from_le_bytes(place.try_into().ok()?);
    }
    let mut lengths = [0_u32; TEXTS + RAW];
    for (length, place) in lengths.iter_mut().zip(fours.chunks_exact(4)) {
        *length = u32::from_le_bytes(place.try_into().ok()?);
    }
    let sizes = lengths.map(|length| length.saturating_sub(1) as usize);
    let (all, rest) = bytes.split_at_checked(sizes[..TEXTS].iter().sum())?;
    // All at once: a text at a time takes ten times as long.
    let mut all = std::str::from_utf8(all).ok()?;
    let mut texts = [None; TEXTS];
    for (n, text) in texts.iter_mut().enumerate() {
        let (own, others) = all.split_at_checked(sizes[n])?;
        all = others;
        *text = (lengths[n] > 0).then_some(own);
    }
    *bytes = rest;
    let mut raw = [None; RAW];
    for (n, found) in raw.iter_mut().enumerate() {
        let (own, others) = bytes.split_at_checked(sizes[TEXTS + n])?;
        *bytes = others;
        *found = (lengths[TEXTS + n] > 0).then_some(own);
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
    let [referer, user_agent] = raw;
    let [family, version, stream, aborted, combined, ..] = flags.to_le_bytes();
    let count = |number: u64| Some(number).filter(|number| *number != NONE);
    let line = Line {
        arrived: SystemTime::UNIX_EPOCH + Duration::from_millis(arrived),
        request_id: request_id?,
        client: client(family, high, low),
        method: method?,
        target: target?,
        version: VERSIONS.get(usize::from(version)).copied()?,
        referer,
        user_agent,
        status: (answer >> 32) as u16,
        error_type: error_type?,
        key,
        tenant,
        priority,
        route,
        upstream,
        attempts: answer as u32,
        model,
        response_model,
        input_tokens: count(input),
        output_tokens: count(output),
        cached_input_tokens: count(cached),
        finish_reason,
        stream: stream != 0,
        cache_status,
        cache_id,
        cache_similarity: count(similarity).map(|bits| f64::from_bits(bits) as f32),
        limit_bound,
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
