//! Which path and method is which call.

use crate::error::{Error, shortened};
use crate::faces::multi_model::is_name;

/// A call of the container contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// `POST /invocations`.
    Invoke,
    /// `GET /ping`.
    Ping,
    /// `GET /execution-parameters`.
    ExecutionParameters,
    /// `GET /metrics`.
    Metrics,
    /// `GET /models`.
    ListModels,
    /// `POST /models`.
    LoadModel,
    /// `GET /models/<name>`.
    DescribeModel(&'a str),
    /// `DELETE /models/<name>`.
    UnloadModel(&'a str),
    /// `POST /models/<name>/invoke`.
    InvokeModel(&'a str),
}

impl<'a> Route<'a> {
    /// The call, or `None` for a path that is not served.
    ///
    /// # Errors
    /// When the path is served, but not by this method.
    pub(super) fn of(method: &str, path: &'a str, is_multi_model: bool) -> Result<Option<Self>, Error> {
        let read = |route, found| match found {
            "GET" | "HEAD" => Ok(Some(route)),
            _ => Err(wrong_method("GET, HEAD", found)),
        };
        match path {
            "/invocations" if is_multi_model => Ok(None),
            "/invocations" if method == "POST" => Ok(Some(Self::Invoke)),
            "/invocations" => Err(wrong_method("POST", method)),
            "/ping" => read(Self::Ping, method),
            "/execution-parameters" => read(Self::ExecutionParameters, method),
            "/metrics" => read(Self::Metrics, method),
            _ if is_multi_model => Self::of_models(method, path),
            _ => Ok(None),
        }
    }

    fn of_models(method: &str, path: &'a str) -> Result<Option<Self>, Error> {
        let Some(below) = path.strip_prefix("/models") else { return Ok(None) };
        if below.is_empty() {
            return match method {
                "GET" | "HEAD" => Ok(Some(Self::ListModels)),
                "POST" => Ok(Some(Self::LoadModel)),
                _ => Err(wrong_method("GET, HEAD, POST", method)),
            };
        }
        let Some(name) = below.strip_prefix('/') else { return Ok(None) };
        if let Some(name) = name.strip_suffix("/invoke").filter(|name| is_name(name)) {
            return match method {
                "POST" => Ok(Some(Self::InvokeModel(name))),
                _ => Err(wrong_method("POST", method)),
            };
        }
        match method {
            _ if !is_name(name) => Ok(None),
            "GET" | "HEAD" => Ok(Some(Self::DescribeModel(name))),
            "DELETE" => Ok(Some(Self::UnloadModel(name))),
            _ => Err(wrong_method("GET, HEAD, DELETE", method)),
        }
    }
}

fn wrong_method(allowed: &'static str, found: &str) -> Error {
    Error::WrongMethod { allowed, found: shortened(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, path: &str, single: Option<Route<'_>>, multi: Option<Route<'_>>) {
        assert_eq!(Route::of(method, path, false).unwrap(), single, "{method} {path}");
        assert_eq!(Route::of(method, path, true).unwrap(), multi, "{method} {path}");
    }

    fn refused(method: &str, path: &str, allowed: &str) {
        let error = Route::of(method, path, true).expect_err("the wrong method");
        assert_eq!(error.allowed(), Some(allowed), "{method} {path}");
    }

    #[test]
    fn paths_are_matched_whole() {
        use Route::*;
        check("GET", "/ping", Some(Ping), Some(Ping));
        check("HEAD", "/metrics", Some(Metrics), Some(Metrics));
        check("GET", "/execution-parameters", Some(ExecutionParameters), Some(ExecutionParameters));
        check("POST", "/invocations", Some(Invoke), None);
        check("GET", "/models", None, Some(ListModels));
        check("POST", "/models", None, Some(LoadModel));
        check("GET", "/models/a", None, Some(DescribeModel("a")));
        check("DELETE", "/models/a.b", None, Some(UnloadModel("a.b")));
        check("POST", "/models/a/invoke", None, Some(InvokeModel("a")));
        for path in
            ["", "*", "/", "/ping/", "/Ping", "/models/", "/modelsa", "/models/a/b", "/models/a%2f/invoke"]
        {
            check("GET", path, None, None);
        }
        check("POST", "/models//invoke", None, None);
    }

    #[test]
    fn a_wrong_method_hears_the_right_ones() {
        refused("POST", "/ping", "GET, HEAD");
        refused("PUT", "/models", "GET, HEAD, POST");
        refused("POST", "/models/a", "GET, HEAD, DELETE");
        refused("GET", "/models/a/invoke", "POST");
        assert_eq!(Route::of("GET", "/invocations", false).expect_err("wrong").allowed(), Some("POST"));
    }
}
