//! Charts as SVG text: a learning curve, a receiver operating characteristic, a confusion matrix, predictions against labels.

use std::fmt::Write;

/// A chart's size, and the margin in which its axes are written.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 340.0;
const MARGIN: f64 = 56.0;
/// Colours of lines, told apart by people who see colours differently (Okabe and Ito).
const COLOURS: &[&str] = &["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
/// The most lines, and the most points, of a chart. Reason: more cannot be told apart, and files stay small.
const LINES_MAX: usize = 6;
const POINTS_MAX: usize = 2000;

/// What a chart shows.
pub(crate) enum Chart {
    /// Lines of points by name.
    Lines { title: String, x: String, y: String, lines: Vec<(String, Vec<(f64, f64)>)> },
    /// Points; equal values of both axes lie on a line.
    Points { title: String, x: String, y: String, points: Vec<(f64, f64)> },
    /// How often a class (row) was taken for another (column).
    Counts { title: String, classes: Vec<String>, counts: Vec<Vec<usize>> },
}

/// The charts beside each other in one document.
pub(crate) fn document(charts: &[Chart]) -> String {
    let width = WIDTH * charts.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (place, chart) in charts.iter().enumerate() {
        let left = WIDTH * place as f64;
        put(&mut svg, format_args!("<g transform=\"translate({left},0)\">\n"));
        match chart {
            Chart::Lines { title, x, y, lines } => draw_lines(&mut svg, [title, x, y], lines),
            Chart::Points { title, x, y, points } => draw_points(&mut svg, [title, x, y], points),
            Chart::Counts { title, classes, counts } => draw_counts(&mut svg, title, classes, counts),
        }
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

fn put(svg: &mut String, text: std::fmt::Arguments<'_>) {
    svg.write_fmt(text).expect("text takes text");
}

/// Values to places of a chart.
struct Axes {
    x: (f64, f64),
    y: (f64, f64),
}

impl Axes {
    fn of(points: &[(f64, f64)]) -> Self {
        let range = |value: fn(&(f64, f64)) -> f64| {
            let finite = points.iter().map(value).filter(|value| value.is_finite());
            let (low, high) =
                finite.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
            if low < high { (low, high) } else { (low.min(0.0) - 0.5, high.max(0.0) + 0.5) }
        };
        Self { x: range(|point| point.0), y: range(|point| point.1) }
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let share = |value: f64, (low, high): (f64, f64)| (value - low) / (high - low);
        (
            MARGIN + share(x, self.x) * (WIDTH - 2.0 * MARGIN),
            HEIGHT - MARGIN - share(y, self.y) * (HEIGHT - 2.0 * MARGIN),
        )
    }

    fn draw(&self, svg: &mut String, [title, x, y]: [&str; 3]) {
        let (right, bottom, middle) = (WIDTH - MARGIN, HEIGHT - MARGIN, HEIGHT / 2.0);
        put(
            svg,
            format_args!(
                "<path d=\"M{MARGIN} {MARGIN}V{bottom}H{right}\" fill=\"none\" stroke=\"black\"/>\n"
            ),
        );
        text(svg, WIDTH / 2.0, 24.0, "middle", title);
        text(svg, WIDTH / 2.0, HEIGHT - 12.0, "middle", x);
        put(svg, format_args!("<g transform=\"rotate(-90 14 {middle})\">"));
        text(svg, 14.0, middle, "middle", y);
        svg.push_str("</g>\n");
        text(svg, MARGIN, bottom + 16.0, "middle", &short(self.x.0));
        text(svg, right, bottom + 16.0, "middle", &short(self.x.1));
        text(svg, MARGIN - 4.0, bottom, "end", &short(self.y.0));
        text(svg, MARGIN - 4.0, MARGIN + 4.0, "end", &short(self.y.1));
    }
}

fn draw_lines(svg: &mut String, words: [&str; 3], lines: &[(String, Vec<(f64, f64)>)]) {
    let lines = &lines[..lines.len().min(LINES_MAX)];
    let all: Vec<(f64, f64)> = lines.iter().flat_map(|(_, points)| points.iter().copied()).collect();
    let axes = Axes::of(&all);
    axes.draw(svg, words);
    for (place, (name, points)) in lines.iter().enumerate() {
        let colour = COLOURS[place % COLOURS.len()];
        let step = points.len().div_ceil(POINTS_MAX).max(1);
        svg.push_str("<polyline fill=\"none\" stroke-width=\"1.5\" points=\"");
        for point in points.iter().step_by(step).chain(points.last()).filter(|point| point.1.is_finite()) {
            let (x, y) = axes.place(*point);
            put(svg, format_args!("{x:.1},{y:.1} "));
        }
        put(svg, format_args!("\" stroke=\"{colour}\"/>\n"));
        let y = 40.0 + 14.0 * place as f64;
        put(svg, format_args!("<g fill=\"{colour}\">"));
        text(svg, WIDTH - MARGIN, y, "end", name);
        svg.push_str("</g>\n");
    }
}

fn draw_points(svg: &mut String, words: [&str; 3], points: &[(f64, f64)]) {
    let axes = Axes::of(points);
    axes.draw(svg, words);
    let low = axes.x.0.max(axes.y.0);
    let high = axes.x.1.min(axes.y.1);
    if low < high {
        let ((x1, y1), (x2, y2)) = (axes.place((low, low)), axes.place((high, high)));
        put(svg, format_args!("<path d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\" stroke=\"grey\"/>\n"));
    }
    let step = points.len().div_ceil(POINTS_MAX).max(1);
    for point in points.iter().step_by(step).filter(|point| point.0.is_finite() && point.1.is_finite()) {
        let (x, y) = axes.place(*point);
        put(svg, format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"1.5\" fill=\"{}\"/>\n", COLOURS[0]));
    }
}

fn draw_counts(svg: &mut String, title: &str, classes: &[String], counts: &[Vec<usize>]) {
    text(svg, WIDTH / 2.0, 24.0, "middle", title);
    let size = (HEIGHT - 2.0 * MARGIN) / classes.len().max(1) as f64;
    let largest = counts.iter().flatten().copied().max().unwrap_or(1).max(1) as f64;
    for (row, line) in counts.iter().enumerate() {
        let y = MARGIN + size * row as f64;
        text(svg, MARGIN - 4.0, y + size / 2.0 + 4.0, "end", &classes[row]);
        text(svg, MARGIN + size * (row as f64 + 0.5), HEIGHT - MARGIN + 16.0, "middle", &classes[row]);
        for (column, count) in line.iter().enumerate() {
            let (x, share) = (MARGIN + size * column as f64, *count as f64 / largest);
            put(
                svg,
                format_args!(
                    "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{size:.1}\" height=\"{size:.1}\" fill=\"{}\" \
                 fill-opacity=\"{share:.3}\" stroke=\"lightgrey\"/>\n",
                    COLOURS[0]
                ),
            );
            text(svg, x + size / 2.0, y + size / 2.0 + 4.0, "middle", &count.to_string());
        }
    }
    text(svg, WIDTH / 2.0, HEIGHT - 12.0, "middle", "predicted; rows are the labels");
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    put(svg, format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>\n"));
}

/// A number of about four digits.
fn short(value: f64) -> String {
    let digits = (3 - value.abs().max(1e-9).log10().floor() as i32).clamp(0, 9) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_are_drawn_beside_each_other() {
        let words = |title: &str| (title.to_owned(), "epoch".to_owned(), "loss".to_owned());
        let (title, x, y) = words("a < b");
        let lines = vec![("train".to_owned(), vec![(0.0, 1.0), (1.0, 0.5)])];
        let points = vec![(1.0, 1.0), (2.0, 3.0), (f64::NAN, 1.0)];
        let counts = vec![vec![5, 1], vec![0, 4]];
        let svg = document(&[
            Chart::Lines { title, x: x.clone(), y: y.clone(), lines },
            Chart::Points { title: "t".into(), x, y, points },
            Chart::Counts { title: "t".into(), classes: vec!["0".into(), "1".into()], counts },
        ]);
        assert!(svg.contains("a &lt; b") && svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("points=\"56.0,56.0 424.0,284.0 424.0,284.0 \""), "{svg}");
        assert_eq!((svg.matches("<circle").count(), svg.matches("<rect").count()), (2, 5));
        assert!(!svg.contains("NaN"));
    }

    #[test]
    fn numbers_are_short() {
        for (value, expected) in [(0.5, "0.5"), (1234.5, "1234"), (0.000_123_45, "0.0001234"), (0.0, "0")] {
            assert_eq!(short(value), expected);
        }
    }
}
