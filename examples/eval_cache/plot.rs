//! Precision against hit ratio, drawn.

use std::fmt::Write;

use crate::score::{CURVES, Score, curve};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 52.0;

/// Colour and dashes of each curve, told apart without colour too.
const STYLES: [(&str, &str); 4] = [
    ("#777777", "5 3"),
    ("#1f77b4", "none"),
    ("#d62728", "none"),
    ("#2ca02c", "2 3"),
];

/// The lines between which the axes' numbers stand.
const STEPS: usize = 5;

/// The curves of one set.
pub(crate) fn svg(name: &str, scores: &[Score]) -> String {
    let curves: Vec<_> = CURVES
        .iter()
        .map(|(name, of)| (*name, curve(scores, of)))
        .collect();
    let points = || curves.iter().flat_map(|(_, points)| points);
    let most = points().map(|point| point.0).fold(0.05, f64::max);
    let most = (most * 20.0).ceil() / 20.0;
    let least = points().map(|point| point.1).fold(0.95, f64::min);
    let least = (least * 20.0).floor() / 20.0;
    let x = |ratio: f64| LEFT + ratio / most * (WIDTH - LEFT - RIGHT);
    let y = |precision: f64| TOP + (1.0 - precision) / (1.0 - least) * (HEIGHT - TOP - BOTTOM);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{name}: precision of the hits by meaning against their share</text>\n"
    );
    for step in 0..=STEPS {
        let part = step as f64 / STEPS as f64;
        let (ratio, precision) = (most * part, least + (1.0 - least) * part);
        let (across, down) = (x(ratio), y(precision));
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let _ = writeln!(
            svg,
            "<path d=\"M{across:.1} {TOP}V{bottom}M{LEFT} {down:.1}H{right}\" stroke=\"#e4e4e4\" fill=\"none\"/>"
        );
        let _ = writeln!(
            svg,
            "<text x=\"{across:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{ratio:.2}</text>",
            bottom + 18.0
        );
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{precision:.2}</text>",
            LEFT - 8.0,
            down + 4.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">share of the questions answered by meaning</text>",
        f64::midpoint(LEFT, WIDTH - RIGHT),
        HEIGHT - 12.0
    );
    let middle = f64::midpoint(TOP, HEIGHT - BOTTOM);
    let _ = writeln!(
        svg,
        "<text transform=\"translate(16 {middle:.1}) rotate(-90)\" text-anchor=\"middle\">precision</text>"
    );
    let drawn = curves
        .iter()
        .zip(STYLES)
        .filter(|((_, points), _)| !points.is_empty());
    for (row, ((name, points), (color, dashes))) in drawn.enumerate() {
        let path: Vec<String> = points
            .iter()
            .map(|(ratio, precision)| format!("{:.1} {:.1}", x(*ratio), y(*precision)))
            .collect();
        let _ = writeln!(
            svg,
            "<path d=\"M{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"/>",
            path.join("L")
        );
        for (ratio, precision) in points {
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{color}\"/>",
                x(*ratio),
                y(*precision)
            );
        }
        let line = HEIGHT - BOTTOM - 14.0 - 17.0 * row as f64;
        let _ = writeln!(
            svg,
            "<path d=\"M{} {line}h26\" stroke=\"{color}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"/>\
             <text x=\"{}\" y=\"{}\">{name}</text>",
            LEFT + 12.0,
            LEFT + 46.0,
            line + 4.0
        );
    }
    svg + "</svg>\n"
}
