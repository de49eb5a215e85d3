//! Reads one section's values: what is absent gets its default, what is wrong is reported and reads as the default.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;

use super::accept::{check_name, near, whole, within};
use crate::config::model::Rate;
use crate::config::path::At;
use crate::config::raw::Leaf;
use crate::config::report::Report;
use crate::config::units::{self, Refusal};

/// Longest time a key takes: far beyond use, and still safe to add to a clock.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);
/// Any time, none included.
pub(super) const ANY_TIME: RangeInclusive<Duration> = Duration::ZERO..=LONGEST;
/// A time that has to pass.
pub(super) const SOME_TIME: RangeInclusive<Duration> = Duration::from_millis(1)..=LONGEST;
/// A size with something in it, up to 1 PiB.
pub(super) const SOME_BYTES: RangeInclusive<u64> = 1..=1 << 50;
/// Largest amount of a rate: products with it stay far inside 64 bits.
const MOST_AMOUNT: u64 = 1_000_000_000_000;

/// A place in the file and the report that complaints about it go to.
pub(super) struct Section<'a> {
    pub at: At,
    pub report: &'a mut Report,
    /// Folder that relative paths start from.
    pub base: &'a Path,
}

impl Section<'_> {
    /// The same place, for a reader that takes its own.
    pub(super) fn here(&mut self) -> Section<'_> {
        Section {
            at: self.at.clone(),
            report: self.report,
            base: self.base,
        }
    }

    pub(super) fn key(&mut self, key: &str) -> Section<'_> {
        Section {
            at: self.at.key(key),
            report: self.report,
            base: self.base,
        }
    }

    pub(super) fn index(&mut self, index: usize) -> Section<'_> {
        Section {
            at: self.at.index(index),
            report: self.report,
            base: self.base,
        }
    }

    /// Refuses what is written under `key`.
    pub(super) fn refuse(
        &mut self,
        key: &str,
        leaf: Option<&Leaf>,
        reason: impl Into<String>,
        hint: &str,
    ) {
        self.report.error(
            &self.at.key(key),
            leaf.map(Leaf::shown).as_deref(),
            reason,
            hint,
        );
    }

    /// Refuses the section as a whole.
    pub(super) fn refuse_all(&mut self, reason: impl Into<String>, hint: &str) {
        self.report.error(&self.at, None, reason, hint);
    }

    pub(super) fn missing(&mut self, key: &str, hint: &str) {
        self.report.missing(&self.at.key(key), "is required", hint);
    }

    pub(super) fn warn(&mut self, key: &str, text: impl AsRef<str>) {
        self.report.warn(&self.at.key(key), text);
    }

    /// What `parse` makes of the text under `key`; `None` when there is none or it was refused.
    pub(super) fn read<T>(
        &mut self,
        key: &str,
        leaf: Option<&Leaf>,
        parse: impl FnOnce(&str) -> Result<T, Refusal>,
    ) -> Option<T> {
        leaf.and_then(|leaf| self.read_at(&self.at.key(key), Some(leaf), parse))
    }

    /// `read` at a place that is not a key, such as an item of a list.
    pub(super) fn read_at<T>(
        &mut self,
        at: &At,
        leaf: Option<&Leaf>,
        parse: impl FnOnce(&str) -> Result<T, Refusal>,
    ) -> Option<T> {
        let leaf = leaf?;
        let parsed = match leaf.text() {
            Some(text) => parse(&text),
            None => Err(Refusal::new("must be a single value", "")),
        };
        let refuse = |refusal: Refusal| {
            self.report
                .error(at, Some(&leaf.shown()), refusal.reason, &refusal.hint)
        };
        parsed.map_err(refuse).ok()
    }

    pub(super) fn duration(
        &mut self,
        key: &str,
        leaf: Option<&Leaf>,
        range: RangeInclusive<Duration>,
        default: Duration,
    ) -> Duration {
        let show = |time: &Duration| humantime::format_duration(*time).to_string();
        self.read(key, leaf, |text| {
            within(units::duration(text)?, &range, show, &default)
        })
        .unwrap_or(default)
    }

    /// In bytes.
    pub(super) fn size(
        &mut self,
        key: &str,
        leaf: Option<&Leaf>,
        range: RangeInclusive<u64>,
        default: u64,
    ) -> u64 {
        let show = |bytes: &u64| ByteSize(*bytes).display().iec().to_string();
        self.read(key, leaf, |text| {
            within(units::size(text)?, &range, show, &default)
        })
        .unwrap_or(default)
    }

    pub(super) fn integer<T>(
        &mut self,
        key: &str,
        leaf: Option<&Leaf>,
        range: RangeInclusive<T>,
        default: T,
    ) -> T
    where
        T: Copy + Display + PartialOrd + TryFrom<u64>,
    {
        self.read(key, leaf, |text| {
            within(whole(text, &range)?, &range, T::to_string, &default)
        })
        .unwrap_or(default)
    }

    /// A whole number of at least 1, without which there is no cap.
    pub(super) fn cap(&mut self, key: &str, leaf: Option<&Leaf>) -> Option<u32> {
        self.read(key, leaf, |text| match whole(text, &(1..=u32::MAX))? {
            0 => Err(Refusal::new(
                "must be at least 1",
                "leave it out for no cap",
            )),
            cap => Ok(cap),
        })
    }

    pub(super) fn float(
        &mut self,
        key: &str,
        leaf: Option<&Leaf>,
        accept: impl Fn(f64) -> bool,
        reason: &str,
        default: f64,
    ) -> f64 {
        self.read(key, leaf, |text| {
            let number = units::float(text)?;
            match accept(number) {
                true => Ok(number),
                false => Err(Refusal::new(reason, format!("leave it out for {default}"))),
            }
        })
        .unwrap_or(default)
    }

    pub(super) fn boolean(&mut self, key: &str, leaf: Option<&Leaf>, default: bool) -> bool {
        self.word(key, leaf, &[("true", true), ("false", false)], default)
    }

    /// `on` or `off`.
    pub(super) fn switch(&mut self, key: &str, leaf: Option<&Leaf>, default: bool) -> bool {
        self.read(key, leaf, |text| match text {
            "on" | "true" => Ok(true),
            "off" | "false" => Ok(false),
            _ => Err(Refusal::new("must be on or off", "")),
        })
        .unwrap_or(default)
    }

    /// One of `words`.
    pub(super) fn word<T: Copy>(
        &mut self,
        key: &str,
        leaf: Option<&Leaf>,
        words: &[(&str, T)],
        default: T,
    ) -> T {
        self.read(key, leaf, |text| {
            let found = words.iter().find(|(word, _)| *word == text);
            found.map(|(_, meaning)| *meaning).ok_or_else(|| {
                let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                Refusal::new(
                    format!("must be one of {}", known.join(", ")),
                    near(text, &known),
                )
            })
        })
        .unwrap_or(default)
    }

    pub(super) fn rate(&mut self, key: &str, leaf: Option<&Leaf>) -> Option<Rate> {
        self.read(key, leaf, |text| {
            let rate = units::rate(text)?;
            match SOME_TIME.contains(&rate.period) && rate.amount <= MOST_AMOUNT {
                true => Ok(rate),
                false => Err(Refusal::new(
                    "is beyond what can be counted",
                    "at most 1000G, per 1ms to 366days",
                )),
            }
        })
    }

    /// A name for logs and metrics.
    pub(super) fn name(&mut self, key: &str, leaf: Option<&Leaf>) -> Option<String> {
        self.read(key, leaf, |text| check_name(text).map(|()| text.to_owned()))
    }

    /// Text with the spaces and line ends around it.
    pub(super) fn verbatim(&mut self, key: &str, leaf: Option<&Leaf>) -> Option<String> {
        self.read(key, leaf, |_| Ok(()))?;
        leaf?.verbatim()
    }

    /// A path, relative ones from the file's folder.
    pub(super) fn path(&mut self, key: &str, leaf: Option<&Leaf>) -> Option<PathBuf> {
        let base = self.base;
        self.read(key, leaf, |text| {
            match text.is_empty() || text.contains('\0') {
                true => Err(Refusal::new("is not a path", "")),
                false => Ok(base.join(text)),
            }
        })
    }
}
