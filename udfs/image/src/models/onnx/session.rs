//! A graph with its weights, opened once by ONNX Runtime.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use ort::session::{RunOptions, Session, SessionInputValue};
use ort::value::{Outlet, TensorRef, ValueType};

use super::library;
use super::ports::{Extent, Kind, Port};
use crate::error::{Error, Result};
use crate::weights::LoadedOnnx;

/// What is open, for as long as somebody has it.
static OPEN: Mutex<Vec<(Key, Weak<Opened>)>> = Mutex::new(Vec::new());

/// SHA-256 of the file, and threads.
type Key = (String, usize);

/// A graph that is ready to run.
#[derive(Debug)]
pub(crate) struct Opened {
    session: Mutex<Session>,
    pub(super) inputs: Vec<Port>,
}

impl Opened {
    /// The session of a file, which is opened if it is not.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] if there is no ONNX Runtime, [`Error::Weights`] if it refuses the file.
    pub(crate) fn shared(file: &LoadedOnnx, threads: usize) -> Result<Arc<Self>> {
        let key = (file.sha256.clone(), threads);
        if let Some(opened) = open_already(&key) {
            return Ok(opened);
        }
        let environment = library::environment()?;
        let opened = library::guarded(|| {
            let builder = Session::builder(&environment).map_err(text)?;
            let builder = builder.with_intra_threads(threads).map_err(text)?;
            let builder = builder.with_inter_threads(1).map_err(text)?;
            // A thread that waits for work takes none of the time of those that decode.
            let mut builder = builder.with_intra_op_spinning(false).map_err(text)?;
            for (name, bytes) in &file.beside {
                let bytes = Arc::clone(bytes);
                let with = builder.with_external_initializer_file_in_memory(name, bytes);
                builder = with.map_err(text)?;
            }
            let session = builder.commit_from_memory(&file.bytes).map_err(text)?;
            Ok(Self {
                inputs: session.inputs().iter().map(port).collect(),
                session: Mutex::new(session),
            })
        });
        let opened = Arc::new(opened.map_err(|why| Error::Weights {
            origin: file.origin.clone(),
            message: format!("ONNX Runtime does not open the file: {why}"),
        })?);
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(_, opened)| opened.strong_count() > 0);
        open.push((key, Arc::downgrade(&opened)));
        Ok(opened)
    }

    /// The session, for one caller.
    pub(super) fn lock(&self) -> MutexGuard<'_, Session> {
        // A panic of the binding leaves the session as it was: it is the library that has a state.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the graph for one image, all of its outputs, and gives what they were.
pub(super) fn try_out(
    session: &mut Session,
    input: &str,
    shape: [usize; 4],
) -> Result<Vec<Port>, String> {
    let image = vec![0.0; shape.iter().product()];
    let outputs = session.run(inputs(input, shape, &image)?).map_err(text)?;
    let ports = outputs.iter().map(|(name, value)| Port {
        name: name.to_owned(),
        kind: kind(value.dtype()),
    });
    Ok(ports.collect())
}

/// Runs the graph for one image, and copies its features to `out`.
pub(super) fn run(
    session: &mut Session,
    (input, shape): (&str, [usize; 4]),
    image: &[f32],
    options: &RunOptions<ort::session::HasSelectedOutputs>,
    out: &mut [f32],
) -> Result<(), String> {
    let outputs = session.run_with_options(inputs(input, shape, image)?, options);
    let outputs = outputs.map_err(text)?;
    let Some(value) = outputs.values().next() else {
        return Err("the graph gave nothing".to_owned());
    };
    let (_, values) = value.try_extract_tensor::<f32>().map_err(text)?;
    if values.len() != out.len() {
        return Err(format!(
            "the graph gave {} numbers for an image, and {} for another: expected as many of each",
            values.len(),
            out.len()
        ));
    }
    out.copy_from_slice(values);
    Ok(())
}

type Inputs<'a> = Vec<(Cow<'a, str>, SessionInputValue<'a>)>;

fn inputs<'a>(name: &'a str, shape: [usize; 4], image: &'a [f32]) -> Result<Inputs<'a>, String> {
    let image = TensorRef::from_array_view((shape, image)).map_err(text)?;
    Ok(vec![(Cow::Borrowed(name), image.into())])
}

fn open_already(key: &Key) -> Option<Arc<Opened>> {
    let open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let (_, opened) = open.iter().find(|(other, _)| other == key)?;
    opened.upgrade()
}

fn port(outlet: &Outlet) -> Port {
    Port {
        name: outlet.name().to_owned(),
        kind: kind(outlet.dtype()),
    }
}

fn kind(of: &ValueType) -> Kind {
    let ValueType::Tensor {
        ty,
        shape,
        dimension_symbols,
    } = of
    else {
        return Kind::Other;
    };
    let names = dimension_symbols.iter().map(String::as_str);
    let names = names.chain(std::iter::repeat(""));
    let extents = shape.iter().zip(names).map(|(extent, name)| {
        let fixed = usize::try_from(*extent).map(Extent::Fixed);
        fixed.unwrap_or_else(|_| Extent::Free(name.to_owned()))
    });
    Kind::Tensor(ty.to_string(), extents.collect())
}

/// The text of an error of the library, on one line.
#[expect(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
pub(super) fn text<R>(error: ort::Error<R>) -> String {
    let words: Vec<&str> = error.message().split_whitespace().collect();
    words.join(" ")
}
