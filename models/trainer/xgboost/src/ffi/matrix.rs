//! Rows in XGBoost's own form: copied whole, as bins, or paged from the disk; the last two are fed batch by batch.

use std::ffi::{CStr, CString, c_int};
use std::ptr;
use std::sync::Arc;

use dmatrix::{DMatrix, Storage};

use super::{Length, Library, LibraryError, Raw, text};

// Offsets of sparse rows are handed over as they stand, as eight bytes each.
const _: () = assert!(size_of::<usize>() == size_of::<u64>());

/// The description of an array in memory that XGBoost's newer functions take (numpy's `__array_interface__`).
fn interface<T>(values: &[T], shape: &str, kind: &str) -> Result<CString, LibraryError> {
    let address = values.as_ptr().addr();
    text(&format!(r#"{{"data": [{address}, true], "shape": [{shape}], "typestr": "{kind}", "version": 3}}"#))
}

/// As [`interface`], one value after the other.
fn column<T>(values: &[T], kind: &str) -> Result<CString, LibraryError> {
    interface(values, &values.len().to_string(), kind)
}

/// Dense rows.
fn dense(rows: &DMatrix) -> Result<CString, LibraryError> {
    interface(rows.values(), &format!("{}, {}", rows.rows(), rows.columns()), "<f4")
}

/// Sparse rows: offsets, indices, values.
fn sparse(rows: &DMatrix) -> Result<[CString; 3], LibraryError> {
    Ok([column(rows.offsets(), "<u8")?, column(rows.indices(), "<u4")?, column(rows.values(), "<f4")?])
}

/// Batches of rows that can be gone through several times.
pub(crate) trait Batches: std::fmt::Debug {
    /// Back to before the first batch.
    fn restart(&mut self) -> Result<(), LibraryError>;
    /// The next batch; it stays as it is until the next call.
    fn next(&mut self) -> Result<Option<&DMatrix>, LibraryError>;
}

/// What the callbacks get: the batches, and the proxy through which the library sees the current one.
#[derive(Debug)]
struct Feed {
    batches: Box<dyn Batches>,
    proxy: Matrix,
    failure: Option<LibraryError>,
}

impl Feed {
    fn new(library: &Arc<Library>, batches: Box<dyn Batches>) -> Result<Box<Self>, LibraryError> {
        let mut raw = ptr::null_mut();
        // SAFETY: the new handle is owned by the value returned.
        library.check(unsafe { (library.functions.proxy_create)(&raw mut raw) })?;
        let proxy = Matrix { raw, library: Arc::clone(library), feed: None };
        Ok(Box::new(Self { batches, proxy, failure: None }))
    }

    /// Shows the library the next batch; false at the end.
    fn step(&mut self) -> Result<bool, LibraryError> {
        let Some(rows) = self.batches.next()? else { return Ok(false) };
        let library = &self.proxy.library;
        match rows.storage() {
            // SAFETY: the batch stays as it is until the library asks for the next one, which is what it may rely on.
            Storage::Dense => library.check(unsafe {
                (library.functions.proxy_set_dense)(self.proxy.raw, dense(rows)?.as_ptr())
            })?,
            Storage::Sparse => {
                let [offsets, indices, values] = sparse(rows)?;
                // SAFETY: as above.
                library.check(unsafe {
                    (library.functions.proxy_set_csr)(
                        self.proxy.raw,
                        offsets.as_ptr(),
                        indices.as_ptr(),
                        values.as_ptr(),
                        rows.columns() as Length,
                    )
                })?;
            }
        }
        if !rows.weights().is_empty() {
            self.proxy.set(c"weight", rows.weights())?;
        }
        Ok(true)
    }
}

/// `DataIterResetCallback`. A panic in it ends the process, as in every `extern "C"` function.
unsafe extern "C" fn restart(feed: Raw) {
    // SAFETY: the library hands back the pointer to the boxed feed that it got, while the call that it got it in lasts or
    // the matrix that owns the box lives; nothing else uses the feed then.
    let feed = unsafe { &mut *feed.cast::<Feed>() };
    if let Err(failure) = feed.batches.restart() {
        feed.failure.get_or_insert(failure);
    }
}

/// `XGDMatrixCallbackNext`.
unsafe extern "C" fn next(feed: Raw) -> c_int {
    // SAFETY: as in `restart`.
    let feed = unsafe { &mut *feed.cast::<Feed>() };
    match feed.step() {
        Ok(is_there) => c_int::from(is_there),
        Err(failure) => {
            feed.failure.get_or_insert(failure);
            0
        }
    }
}

/// Rows in XGBoost's own form.
#[derive(Debug)]
pub(crate) struct Matrix {
    pub(super) raw: Raw,
    library: Arc<Library>,
    /// Where a matrix that pages from the disk may read again.
    feed: Option<Box<Feed>>,
}

impl Matrix {
    /// Copies `rows`; NaN and, in a sparse row, absence are missing.
    pub(crate) fn new(library: &Arc<Library>, rows: &DMatrix, threads: usize) -> Result<Self, LibraryError> {
        let mut raw = ptr::null_mut();
        let config = text(&format!(r#"{{"missing": NaN, "nthread": {threads}}}"#))?;
        let code = match rows.storage() {
            // SAFETY: `rows × columns` floats, which XGBoost copies before it returns.
            Storage::Dense => unsafe {
                (library.functions.matrix_from_dense)(dense(rows)?.as_ptr(), config.as_ptr(), &raw mut raw)
            },
            Storage::Sparse => {
                let [offsets, indices, values] = sparse(rows)?;
                // SAFETY: the three arrays have the lengths and types the descriptions say, and are copied before the call
                // returns.
                unsafe {
                    (library.functions.matrix_from_csr)(
                        offsets.as_ptr(),
                        indices.as_ptr(),
                        values.as_ptr(),
                        rows.columns() as Length,
                        config.as_ptr(),
                        &raw mut raw,
                    )
                }
            }
        };
        library.check(code)?;
        Ok(Self { raw, library: Arc::clone(library), feed: None })
    }

    /// Only the bins of the values, for training by histograms: about a byte a value. The batches are gone afterwards.
    pub(crate) fn quantiles(
        library: &Arc<Library>,
        batches: Box<dyn Batches>,
        max_bin: i64,
        threads: usize,
    ) -> Result<Self, LibraryError> {
        let config = text(&format!(r#"{{"missing": NaN, "nthread": {threads}, "max_bin": {max_bin}}}"#))?;
        let mut feed = Feed::new(library, batches)?;
        let (mut raw, handle) = (ptr::null_mut(), (&raw mut *feed).cast());
        // SAFETY: the feed lives in its box to the end of this block, and its proxy with it; the library reads the batches
        // only during the call, since a matrix of quantiles keeps no source.
        let code = unsafe {
            let proxy = feed.proxy.raw;
            let create = library.functions.quantiles_from_batches;
            create(handle, proxy, ptr::null_mut(), restart, next, config.as_ptr(), &raw mut raw)
        };
        let (raw, _) = Self::made(library, raw, code, feed)?;
        Ok(Self { raw, library: Arc::clone(library), feed: None })
    }

    /// Rows that are paged from files beginning with `cache`, one batch a page.
    pub(crate) fn paged(
        library: &Arc<Library>,
        batches: Box<dyn Batches>,
        cache: &str,
        threads: usize,
    ) -> Result<Self, LibraryError> {
        let cache = serde_json::Value::from(cache);
        let config = text(&format!(r#"{{"missing": NaN, "nthread": {threads}, "cache_prefix": {cache}}}"#))?;
        let mut feed = Feed::new(library, batches)?;
        let (mut raw, handle) = (ptr::null_mut(), (&raw mut *feed).cast());
        // SAFETY: the feed stays in its box, which the matrix owns and drops after the library's part.
        let code = unsafe {
            let proxy = feed.proxy.raw;
            let create = library.functions.matrix_from_batches;
            create(handle, proxy, restart, next, config.as_ptr(), &raw mut raw)
        };
        let (raw, feed) = Self::made(library, raw, code, feed)?;
        Ok(Self { raw, library: Arc::clone(library), feed: Some(feed) })
    }

    /// What a call with callbacks gave; why a batch was missing comes before what the library makes of that.
    fn made(
        library: &Arc<Library>,
        raw: Raw,
        code: c_int,
        mut feed: Box<Feed>,
    ) -> Result<(Raw, Box<Feed>), LibraryError> {
        let failure = feed.failure.take();
        let refused = library.check(code).err();
        match failure.or(refused) {
            Some(error) => {
                if code == 0 {
                    drop(Self { raw, library: Arc::clone(library), feed: Some(feed) });
                }
                Err(error)
            }
            None => Ok((raw, feed)),
        }
    }

    /// Sets a column beside the features: `label`, `weight`, `label_lower_bound`, `label_upper_bound`.
    pub(crate) fn set(&self, field: &CStr, values: &[f32]) -> Result<(), LibraryError> {
        self.set_column(field, &column(values, "<f4")?)
    }

    /// Says which query each row answers; the rows of a query stand together.
    pub(crate) fn set_queries(&self, queries: &[u32]) -> Result<(), LibraryError> {
        self.set_column(c"qid", &column(queries, "<u4")?)
    }

    fn set_column(&self, field: &CStr, values: &CStr) -> Result<(), LibraryError> {
        // SAFETY: a live handle, a terminated name, and the description of an array that the callers borrow for the call;
        // it is copied.
        let code = unsafe { (self.library.functions.matrix_set)(self.raw, field.as_ptr(), values.as_ptr()) };
        self.library.check(code)
    }

    /// A copy of some rows, with what stands beside them.
    pub(crate) fn slice(&self, rows: &[i32]) -> Result<Self, LibraryError> {
        let mut raw = ptr::null_mut();
        // SAFETY: a live handle and as many indices as are said; the new handle is owned by the value returned.
        let code = unsafe {
            let slice = self.library.functions.matrix_slice;
            slice(self.raw, rows.as_ptr(), rows.len() as Length, &raw mut raw, 0)
        };
        self.library.check(code)?;
        Ok(Self { raw, library: Arc::clone(&self.library), feed: None })
    }
}

impl Drop for Matrix {
    fn drop(&mut self) {
        // SAFETY: the handle came from the library and is freed once; a failure leaves nothing to do.
        unsafe { (self.library.functions.matrix_free)(self.raw) };
        drop(self.feed.take());
    }
}
