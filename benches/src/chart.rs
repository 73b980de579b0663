//! Bars in an SVG that is legible on light and on dark pages.

use std::fmt::Write;

/// Bars that share one scale, whose 1 is marked.
pub(crate) struct Chart {
    pub(crate) title: String,
    /// One below the other.
    pub(crate) panels: Vec<Panel>,
}

/// Groups of bars under a title.
pub(crate) struct Panel {
    pub(crate) title: String,
    /// A line of small print.
    pub(crate) note: String,
    pub(crate) groups: Vec<Group>,
}

/// Bars that belong together.
pub(crate) struct Group {
    pub(crate) title: String,
    pub(crate) bars: Vec<Bar>,
}

/// One bar, from left to right.
pub(crate) struct Bar {
    /// Left of it.
    pub(crate) name: String,
    /// Its length; at least 0.
    pub(crate) value: f64,
    /// Behind its end, and behind the mark.
    pub(crate) label: String,
    pub(crate) series: Series,
}

/// The colour of a bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Series {
    /// One connection.
    One,
    /// A pool of connections.
    Pool,
    /// What the others are compared with.
    Baseline,
}

impl Series {
    fn class(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Pool => "pool",
            Self::Baseline => "baseline",
        }
    }
}

/// All lengths in pixels of an image that is shown at its own size.
const WIDTH: usize = 840;
const MARGIN: usize = 20;
/// Where bars begin; their names end a little before.
const BARS: usize = 325;
/// Length of the longest bar: behind it is room for its label.
const LONGEST: f64 = 350.0;
const LINE: usize = 22;
const THICKNESS: usize = 14;

/// It paints its own background: what is around it need not follow the reader's colour scheme.
pub(crate) const STYLE: &str = "\
text { font: 13px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.head { font-weight: 600 }
.note { font-size: 12px; fill: #59636e }
.page { fill: #ffffff; stroke: #d1d9e0 }
.mark { stroke: #59636e; stroke-dasharray: 3 3 }
.one { fill: #3b82f6 }
.pool { fill: #f59e0b }
.baseline { fill: #8b949e }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc }
.note { fill: #9198a1 }
.page { fill: #0d1117; stroke: #3d444d }
.mark { stroke: #9198a1 }
}";

impl Chart {
    /// The whole file.
    pub(crate) fn svg(&self) -> String {
        let values = self.bars().map(|bar| bar.value);
        let scale = LONGEST / values.fold(1.0, f64::max);
        let mut body = Body {
            text: String::new(),
            y: 14,
            scale,
        };
        body.words("title", MARGIN, "start", &self.title);
        for panel in &self.panels {
            body.panel(panel);
        }
        let height = body.y + MARGIN;
        let title = escaped(&self.title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
             viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n<title>{title}</title>\n<style>\n{STYLE}\n</style>\n\
             <rect class=\"page\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"6\"/>\n{}</svg>\n",
            WIDTH - 1,
            height - 1,
            body.text,
        )
    }

    fn bars(&self) -> impl Iterator<Item = &Bar> {
        let groups = self.panels.iter().flat_map(|panel| &panel.groups);
        groups.flat_map(|group| &group.bars)
    }
}

/// What was drawn so far.
struct Body {
    text: String,
    /// Where it ends.
    y: usize,
    /// Pixels of a bar of 1.
    scale: f64,
}

impl Body {
    fn panel(&mut self, panel: &Panel) {
        self.y += 14;
        self.words("head", MARGIN, "start", &panel.title);
        self.words("note", MARGIN, "start", &panel.note);
        for group in &panel.groups {
            self.words("head", BARS - 10, "end", &group.title);
            let top = self.y + (LINE - THICKNESS) / 2 - 2;
            group.bars.iter().for_each(|bar| self.bar(bar));
            let one = BARS as f64 + self.scale;
            let _ = writeln!(
                self.text,
                "<line class=\"mark\" x1=\"{one:.1}\" x2=\"{one:.1}\" y1=\"{top}\" y2=\"{}\"/>",
                self.y - 2,
            );
        }
    }

    fn bar(&mut self, bar: &Bar) {
        let length = bar.value * self.scale;
        let (class, top) = (bar.series.class(), self.y + (LINE - THICKNESS) / 2);
        let _ = writeln!(
            self.text,
            "<rect class=\"{class}\" x=\"{BARS}\" y=\"{top}\" width=\"{length:.1}\" height=\"{THICKNESS}\" rx=\"2\"/>",
        );
        // Never upon the mark.
        let behind = BARS + length.max(self.scale).ceil() as usize + 8;
        self.put("", BARS - 10, "end", &bar.name);
        self.put("", behind, "start", &bar.label);
        self.y += LINE;
    }

    /// Text on a line of its own.
    fn words(&mut self, class: &str, x: usize, anchor: &str, words: &str) {
        self.put(class, x, anchor, words);
        self.y += LINE;
    }

    /// Text on the line that begins here.
    fn put(&mut self, class: &str, x: usize, anchor: &str, words: &str) {
        let (baseline, words) = (self.y + 16, escaped(words));
        let _ = writeln!(
            self.text,
            "<text class=\"{class}\" x=\"{x}\" y=\"{baseline}\" text-anchor=\"{anchor}\">{words}</text>",
        );
    }
}

pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
