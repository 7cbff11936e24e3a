//! stub
/// stub
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Filter;
impl Filter {
    /// stub
    pub fn matches<'a>(&self, _tag: impl Fn(&str) -> Option<&'a str>) -> bool {
        true
    }
}
/// stub
pub mod fossil {
    /// stub
    pub fn delta(_base: &[u8], target: &[u8]) -> Vec<u8> {
        target.to_vec()
    }
}
