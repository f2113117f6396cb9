//! What the owner needs of an attached object.
//!
//! The kernel's side implements it; so does a list in memory, with which the
//! agent is tested on machines without sched_ext.

use std::time::Duration;

use crate::diag::Diagnostic;
use crate::hooks::balance::Domains;
use crate::image::Image;
use crate::live::{
    Attached, Closed, Ejection, Happening, Inspection, Listed, LiveError, Loaded, Prepared,
    Recording, Statistics,
};

/// An object that schedules.
pub trait Scheduler {
    /// A filled, idle bank.
    type Prepared;

    /// The name of the backend.
    fn backend(&self) -> &'static str;

    /// Fill the idle bank. On an error nothing has changed.
    fn prepare(&mut self, image: &Image) -> Result<Self::Prepared, Box<Diagnostic>>;

    /// Put it in force; returns the number of the generation. On an error
    /// nothing has changed.
    fn commit(&mut self, prepared: Self::Prepared) -> Result<u64, Box<Diagnostic>>;

    /// What was counted since the last commit.
    fn statistics(&mut self) -> Result<Statistics, Box<Diagnostic>>;

    /// What the kernel knows of one task; none if there is no such task.
    fn inspect(&mut self, pid: u32) -> Result<Option<Inspection>, Box<Diagnostic>>;

    /// Every task that the policy schedules.
    fn tasks(&mut self) -> Result<Vec<Listed>, Box<Diagnostic>>;

    /// Why the kernel's own scheduler is back in charge, if it is.
    fn ejection(&mut self) -> Option<Ejection>;

    /// The domains that tasks can be moved between; none where nothing can be.
    fn domains(&mut self) -> Option<&mut dyn Domains> {
        None
    }

    /// Turns on a recording of what is decided; none where nothing can be recorded.
    fn record(&mut self) -> Result<Option<Box<dyn Recorder>>, Box<Diagnostic>> {
        Ok(None)
    }

    /// After an ejection that is no fault, such as a CPU that came or went, or
    /// for a change that needs it: detach what is still attached, and attach
    /// again with this image in force.
    fn attach_again(&mut self, image: &Image) -> Result<u64, Box<Diagnostic>>;
}

/// A recording that is on, read by another thread than the owner's; dropping it
/// turns it off.
pub trait Recorder: Send {
    /// When it began, on the clock of the scheduler.
    fn began_ns(&self) -> u64;

    /// What has happened since the last time, but no more of it than that.
    fn read(&mut self, most: usize) -> Vec<Happening>;

    /// Turns it off. What happened before can still be read.
    fn end(&mut self) -> Result<Closed, Box<Diagnostic>>;
}

/// Loads an object that the kernel's watchdog watches with that patience.
pub type Load = fn(Duration) -> Result<Loaded, LiveError>;

/// The object in the kernel.
pub struct InKernel {
    /// None only after a failure to attach again.
    object: Option<Attached>,
    load: Load,
    /// Generations of objects before this one.
    before: u64,
}

impl InKernel {
    /// Load an object, put `image` in force and attach. `prepare_to_attach` is
    /// called once nothing but the attaching is left to do.
    ///
    /// # Errors
    ///
    /// What the kernel has not got, or refuses.
    pub fn start(
        load: Load,
        image: &Image,
        prepare_to_attach: impl FnOnce(),
    ) -> Result<(Self, u64), Box<Diagnostic>> {
        let start = || -> Result<(Attached, u64), LiveError> {
            let mut object = load(Duration::from_nanos(image.watchdog().0))?;
            let prepared = object.prepare(image)?;
            let generation = object.commit(prepared)?;
            prepare_to_attach();
            Ok((object.attach()?, generation.number))
        };
        let (object, generation) = start().map_err(in_words)?;
        let scheduler = Self {
            object: Some(object),
            load,
            before: 0,
        };
        Ok((scheduler, generation))
    }

    /// Give scheduling back to the kernel.
    ///
    /// # Errors
    ///
    /// When the kernel does not take over.
    pub fn detach(self) -> Result<(), Box<Diagnostic>> {
        match self.object {
            Some(object) => object.detach().map_err(in_words),
            None => Ok(()),
        }
    }

    fn object(&mut self) -> Result<&mut Attached, Box<Diagnostic>> {
        self.object
            .as_mut()
            .ok_or_else(|| in_words(LiveError::NoGeneration))
    }
}

impl Scheduler for InKernel {
    type Prepared = Prepared;

    fn backend(&self) -> &'static str {
        "sched_ext"
    }

    fn prepare(&mut self, image: &Image) -> Result<Prepared, Box<Diagnostic>> {
        self.object()?.prepare(image).map_err(in_words)
    }

    fn commit(&mut self, prepared: Prepared) -> Result<u64, Box<Diagnostic>> {
        let generation = self.object()?.commit(prepared).map_err(in_words)?;
        Ok(self.before + generation.number)
    }

    fn statistics(&mut self) -> Result<Statistics, Box<Diagnostic>> {
        self.object()?.statistics().map_err(in_words)
    }

    fn inspect(&mut self, pid: u32) -> Result<Option<Inspection>, Box<Diagnostic>> {
        let before = self.before;
        match self.object()?.inspect(pid) {
            Ok(mut seen) => {
                if seen.generation > 0 {
                    seen.generation += before;
                }
                Ok(Some(seen))
            }
            Err(LiveError::NoTask(_)) => Ok(None),
            Err(error) => Err(in_words(error)),
        }
    }

    fn tasks(&mut self) -> Result<Vec<Listed>, Box<Diagnostic>> {
        let before = self.before;
        let mut tasks = self.object()?.tasks().map_err(in_words)?;
        for task in &mut tasks {
            if task.generation > 0 {
                task.generation += before;
            }
        }
        Ok(tasks)
    }

    fn ejection(&mut self) -> Option<Ejection> {
        self.object.as_ref()?.ejection()
    }

    fn domains(&mut self) -> Option<&mut dyn Domains> {
        self.object
            .as_mut()
            .map(|object| object as &mut dyn Domains)
    }

    fn record(&mut self) -> Result<Option<Box<dyn Recorder>>, Box<Diagnostic>> {
        let before = self.before;
        let recording = self.object()?.record().map_err(in_words)?;
        Ok(Some(Box::new(FromKernel { recording, before })))
    }

    fn attach_again(&mut self, image: &Image) -> Result<u64, Box<Diagnostic>> {
        if let Some(old) = self.object.take() {
            self.before += old.generation().map_or(0, |generation| generation.number);
            old.detach().map_err(in_words)?;
        }
        let (new, generation) = Self::start(self.load, image, || {})?;
        self.object = new.object;
        Ok(self.before + generation)
    }
}

/// A recording of the object in the kernel.
struct FromKernel {
    recording: Recording,
    /// Generations of objects before this one.
    before: u64,
}

impl Recorder for FromKernel {
    fn began_ns(&self) -> u64 {
        self.recording.began_ns()
    }

    fn read(&mut self, most: usize) -> Vec<Happening> {
        let mut happened = self.recording.read(most);
        for happening in &mut happened {
            let generation = match happening {
                Happening::Ran(stretch) => &mut stretch.generation,
                Happening::Committed { generation, .. } => generation,
            };
            *generation += self.before;
        }
        happened
    }

    fn end(&mut self) -> Result<Closed, Box<Diagnostic>> {
        self.recording.end().map_err(in_words)
    }
}

fn in_words(error: LiveError) -> Box<Diagnostic> {
    Box::new(error.diagnostic())
}
