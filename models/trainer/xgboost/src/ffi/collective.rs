//! XGBoost's own collective: a meeting point, and this thread's membership.

use std::ffi::CStr;
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;

use super::{Library, LibraryError, Raw, text};

/// The meeting point of several hosts; host 0 runs it.
#[derive(Debug)]
pub(crate) struct Tracker {
    raw: Raw,
    library: Arc<Library>,
}

impl Tracker {
    /// Starts one as `config` says; it works in a thread of the library until all workers have left.
    pub(crate) fn start(library: &Arc<Library>, config: &str) -> Result<Self, LibraryError> {
        let collective = library.collective()?;
        let (config, mut raw) = (text(config)?, ptr::null_mut());
        // SAFETY: a terminated string; the new handle is owned by the value returned.
        library.check(unsafe { (collective.tracker_create)(config.as_ptr(), &raw mut raw) })?;
        let tracker = Self { raw, library: Arc::clone(library) };
        // SAFETY: a live handle and a terminated string.
        library.check(unsafe { (collective.tracker_run)(raw, c"{}".as_ptr()) })?;
        Ok(tracker)
    }

    /// What workers need to know, a JSON object.
    pub(crate) fn worker_arguments(&self) -> Result<String, LibraryError> {
        let mut arguments = ptr::null();
        // SAFETY: a live handle; the string is the library's own until this thread's next call, and copied at once.
        unsafe {
            let code = (self.library.collective()?.tracker_arguments)(self.raw, &raw mut arguments);
            self.library.check(code)?;
            Ok(CStr::from_ptr(arguments).to_string_lossy().into_owned())
        }
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        if let Ok(collective) = self.library.collective() {
            // SAFETY: the handle came from the library and is freed once; a failure leaves nothing to do.
            unsafe { (collective.tracker_free)(self.raw) };
        }
    }
}

/// This thread's membership among the hosts: while it lives, what boosters compute on this thread is over all hosts.
#[derive(Debug)]
pub(crate) struct Membership {
    library: Arc<Library>,
    /// The library keeps it by thread.
    _of_this_thread: PhantomData<*const ()>,
}

impl Membership {
    /// Joins, waiting for all others.
    pub(crate) fn join(library: &Arc<Library>, config: &str) -> Result<Self, LibraryError> {
        let config = text(config)?;
        // SAFETY: a terminated string.
        library.check(unsafe { (library.collective()?.join)(config.as_ptr()) })?;
        Ok(Self { library: Arc::clone(library), _of_this_thread: PhantomData })
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        if let Ok(collective) = self.library.collective() {
            // SAFETY: the same thread that joined, once; a failure leaves nothing to do.
            unsafe { (collective.leave)() };
        }
    }
}
