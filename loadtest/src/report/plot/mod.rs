//! Plots as SVG: values in, text out. Knows nothing of runs or records.
//!
//! `scale` maps values to lengths and finds ticks, `axis` gives them words, `chart` draws lines and `dots` rows of dots;
//! `palette` has the colours of both themes, `svg` writes elements and escapes what goes into them. Pure.

pub(crate) mod axis;
pub(crate) mod chart;
pub(crate) mod dots;
pub(crate) mod palette;
mod scale;
pub(crate) mod svg;
