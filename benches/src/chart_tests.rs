use crate::chart::{Bar, Chart, Group, Panel, Series};

fn bar(value: f64, series: Series) -> Bar {
    Bar {
        name: "<a> & b".to_owned(),
        value,
        label: format!("{value}"),
        series,
    }
}

fn chart(bars: Vec<Bar>) -> String {
    let chart = Chart {
        title: "a title".to_owned(),
        panels: vec![Panel {
            title: "a panel".to_owned(),
            note: "a note".to_owned(),
            groups: vec![Group {
                title: "a group".to_owned(),
                bars,
            }],
        }],
    };
    chart.svg()
}

/// The values of an attribute of every element of the class.
fn values(svg: &str, class: &str, attribute: &str) -> Vec<f64> {
    let (class, attribute) = (format!("class=\"{class}\""), format!(" {attribute}=\""));
    svg.lines()
        .filter(|line| line.contains(&class))
        .filter_map(|line| line.split_once(&attribute)?.1.split('"').next())
        .map(|value| value.parse().unwrap())
        .collect()
}

#[test]
fn bars_share_a_scale_whose_one_is_marked() {
    let svg = chart(vec![
        bar(2.5, Series::One),
        bar(5.0, Series::Pool),
        bar(1.0, Series::Baseline),
    ]);
    assert_eq!(values(&svg, "one", "width"), [175.0]);
    assert_eq!(values(&svg, "pool", "width"), [350.0]);
    assert_eq!(values(&svg, "baseline", "width"), [70.0]);
    let begin = values(&svg, "baseline", "x")[0];
    assert_eq!(values(&svg, "mark", "x1"), [begin + 70.0]);
}

#[test]
fn the_mark_is_on_the_chart_even_when_no_bar_reaches_it() {
    let svg = chart(vec![bar(0.5, Series::One)]);
    assert_eq!(values(&svg, "one", "width"), [175.0]);
    let begin = values(&svg, "one", "x")[0];
    assert_eq!(values(&svg, "mark", "x1"), [begin + 350.0]);
    // Names end where bars begin; labels begin behind the mark.
    let words = values(&svg, "", "x");
    assert!(words[0] < begin && words[1] > begin + 350.0);
}

#[test]
fn nothing_is_drawn_outside_or_upon_another() {
    let svg = chart(vec![bar(1.0, Series::One), bar(5.0, Series::One)]);
    let (tops, heights) = (values(&svg, "one", "y"), values(&svg, "one", "height"));
    assert!(tops[0] + heights[0] <= tops[1]);
    let page = (
        values(&svg, "page", "width")[0],
        values(&svg, "page", "height")[0],
    );
    assert!(tops[1] + heights[1] < page.1);
    // The longest bar, and room for its label of at most 24 letters.
    assert!(values(&svg, "one", "x")[1] + values(&svg, "one", "width")[1] + 150.0 < page.0);
    for class in ["title", "head", "note", ""] {
        assert!(
            values(&svg, class, "y")
                .iter()
                .all(|&y| y > 0.0 && y < page.1)
        );
    }
}

#[test]
fn it_is_well_formed_and_fits_both_colour_schemes() {
    let svg = chart(vec![bar(1.0, Series::One)]);
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" "));
    assert!(svg.ends_with("</svg>\n"));
    assert!(svg.contains(">&lt;a&gt; &amp; b</text>"));
    assert!(svg.contains("<title>a title</title>"));
    let (light, dark) = svg
        .split_once("@media (prefers-color-scheme: dark)")
        .unwrap();
    for class in ["text {", ".page {", ".note {", ".mark {"] {
        assert!(light.contains(class) && dark.contains(class), "{class}");
    }
}
