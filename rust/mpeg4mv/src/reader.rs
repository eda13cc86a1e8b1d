//! Pictures of a stream, in decoding order.

use std::sync::{Arc, OnceLock};

use bitstream::{Error, Result};

use crate::bidirectional::{self, Distances};
use crate::field::Field;
use crate::headers::{group_seconds, units, Kind, Layer, Plane, Unit};
use crate::predicted;

/// Reads packets in decoding order.
#[derive(Debug, Default)]
pub struct Reader {
    layer: Option<Result<Arc<Layer>>>,
    /// Different layers so far.
    layers: usize,
    /// Seconds that times of I and P pictures, and those of B pictures, count from.
    base: [i64; 2],
    /// The last two I or P pictures: the one shown after and the one shown before B pictures that follow.
    anchors: [Option<Arc<Anchor>>; 2],
    /// When each of them is last shown: later than its own time where pictures without data repeat it.
    ends: [i64; 2],
    /// Whether a picture without data has repeated the last one: B pictures in between have come by then.
    is_repeated: bool,
}

/// An I or P picture.
#[derive(Debug)]
struct Anchor {
    coded: Coded,
    /// In ticks of the layer.
    time: i64,
    /// Ticks since the I or P picture before; None where there is none of this layer.
    past: Option<i64>,
    field: OnceLock<Result<Option<Arc<Field>>>>,
}

/// A picture whose motion is not parsed yet.
#[derive(Debug)]
struct Coded {
    layer: Arc<Layer>,
    plane: Plane,
    data: Box<[u8]>,
}

/// A coded picture.
#[derive(Debug)]
pub struct Picture {
    kind: Kind,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Anchor(Arc<Anchor>),
    Between {
        coded: Coded,
        time: i64,
        distances: Result<(Distances, Apart)>,
        after: Option<Arc<Anchor>>,
    },
    /// vop_coded 0: the picture before is shown again.
    Repeated(Arc<Layer>),
    Unreadable(Error),
}

/// Ticks since the picture before, and until the one after.
type Apart = (i64, i64);

impl Reader {
    /// Starts a stream; `extradata` holds the headers that the container keeps.
    pub fn new(extradata: &[u8]) -> Self {
        let mut reader = Reader::default();
        reader.push(extradata, false);
        reader
    }

    /// Why motion of the stream can't be read, as far as headers tell.
    ///
    /// # Errors
    ///
    /// There are no headers, they are damaged, or use a feature that is not supported.
    pub fn check(&self) -> Result<()> {
        match self.layer()?.refusal() {
            Some(refusal) => Err(refusal),
            None => Ok(()),
        }
    }

    /// Number of different layers so far.
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// low_delay of the stream: whether it has no B pictures; None where its headers do not tell, or change.
    pub fn low_delay(&self) -> Option<bool> {
        match &self.layer {
            Some(Ok(layer)) if self.layers == 1 => layer.low_delay,
            _ => None,
        }
    }

    /// The pictures of the next packet, in decoding order.
    ///
    /// `fills_a_place`: a picture without data only fills the place of one that came with the packet before,
    /// in streams that pack two pictures into a packet, and time does not go on with it.
    pub fn push(&mut self, packet: &[u8], fills_a_place: bool) -> Vec<Picture> {
        let mut pictures = Vec::new();
        for (unit, data) in units(packet) {
            match unit {
                Unit::Layer => self.take_layer(Layer::read(data).map(Arc::new)),
                Unit::Group => self.base[0] = group_seconds(data),
                Unit::Plane => pictures.push(self.plane(data, fills_a_place)),
                Unit::Other => {}
            }
        }
        pictures
    }

    /// Headers are repeated; pictures of others refer to none of those before.
    fn take_layer(&mut self, layer: Result<Arc<Layer>>) {
        if self.layer.as_ref() != Some(&layer) {
            self.anchors = [None, None];
            self.layer = Some(layer);
            self.layers += 1;
        }
    }

    fn plane(&mut self, data: &[u8], fills_a_place: bool) -> Picture {
        let read = self
            .layer()
            .and_then(|layer| Ok((Plane::read(data, &layer)?, layer)));
        match read {
            Ok((plane, layer)) if !plane.coded => {
                if plane.kind != Kind::B && !fills_a_place {
                    self.advance(plane.seconds);
                    self.ends[0] = self.base[0] * i64::from(layer.resolution) + plane.increment;
                    self.is_repeated = true;
                }
                Picture {
                    kind: Kind::P,
                    source: Source::Repeated(layer),
                }
            }
            Ok((plane, layer)) => self.picture(Coded {
                layer,
                plane,
                data: data.into(),
            }),
            Err(error) => {
                // Its kind stands in the first bits, whatever else is wrong.
                let kind = Kind::of(u32::from(data.first().copied().unwrap_or(0) >> 6));
                if kind != Kind::B {
                    self.anchors = [None, self.anchors[0].take()];
                }
                Picture {
                    kind,
                    source: Source::Unreadable(error),
                }
            }
        }
    }

    /// Takes modulo_time_base of an I or P picture.
    fn advance(&mut self, seconds: i64) {
        self.base = [self.base[0] + seconds, self.base[0]];
    }

    fn layer(&self) -> Result<Arc<Layer>> {
        match &self.layer {
            Some(layer) => layer.clone(),
            None => Err(Error::malformed("video_object_layer")),
        }
    }

    fn picture(&mut self, coded: Coded) -> Picture {
        let Plane {
            kind,
            seconds,
            increment,
            ..
        } = coded.plane;
        let resolution = i64::from(coded.layer.resolution);
        if kind == Kind::B {
            let time = (self.base[1] + seconds) * resolution + increment;
            let distances = self.distances(time);
            return Picture {
                kind,
                source: Source::Between {
                    coded,
                    time,
                    distances,
                    after: self.anchors[0].clone(),
                },
            };
        }
        self.advance(seconds);
        let time = self.base[0] * resolution + increment;
        let before = self.anchors[0].as_ref().map(|before| before.time);
        let anchor = Arc::new(Anchor {
            coded,
            time,
            past: before.map(|before| time - before),
            field: OnceLock::new(),
        });
        self.anchors = [Some(Arc::clone(&anchor)), self.anchors[0].take()];
        self.ends = [time, self.ends[0]];
        self.is_repeated = false;
        Picture {
            kind,
            source: Source::Anchor(anchor),
        }
    }

    /// Of a B picture. Its vectors are scaled by the times from a picture without data on, which is a reference too
    /// (7.6.9.5).
    fn distances(&self, time: i64) -> Result<(Distances, Apart)> {
        let [Some(after), Some(before)] = &self.anchors else {
            return Err(Error::lost_reference("a B picture"));
        };
        let distances = Distances {
            past: time - self.ends[1],
            both: after.time - self.ends[1],
        };
        let is_between = 0 < distances.past && distances.past < distances.both;
        if is_between && !self.is_repeated {
            return Ok((distances, (time - before.time, after.time - time)));
        }
        Err(Error::malformed("vop_time_increment"))
    }
}

impl Anchor {
    /// Motion of a P picture; None for an I picture.
    fn field(&self) -> &Result<Option<Arc<Field>>> {
        self.field.get_or_init(|| {
            let Coded { layer, plane, data } = &self.coded;
            if plane.kind == Kind::I {
                return Ok(None);
            }
            match layer.refusal() {
                Some(refusal) => Err(refusal),
                None if plane.kind == Kind::S => Err(Error::malformed("vop_coding_type")),
                None => predicted::read(data, layer, *plane).map(|field| Some(field.into())),
            }
        })
    }
}

impl Picture {
    /// Its type.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it has no data of its own (vop_coded 0) and shows the picture before again.
    pub fn repeats(&self) -> bool {
        matches!(self.source, Source::Repeated(_))
    }

    /// Whether it can't be read: its header is damaged, or an I or P picture has less than a bit for each macroblock.
    pub fn is_cut(&self) -> bool {
        match &self.source {
            Source::Anchor(anchor) => {
                let Coded { layer, plane, data } = &anchor.coded;
                let (columns, rows) = layer.macroblocks();
                8 * data.len() < plane.size + columns * rows
            }
            Source::Unreadable(_) => true,
            Source::Between { .. } | Source::Repeated(_) => false,
        }
    }

    /// Seconds from the start of the reading; None where it has no data or its header can't be read.
    pub fn time(&self) -> Option<f64> {
        let ticks = match &self.source {
            Source::Anchor(anchor) => anchor.time,
            Source::Between { time, .. } => *time,
            Source::Repeated(_) | Source::Unreadable(_) => return None,
        };
        self.seconds(ticks)
    }

    /// Seconds since the I or P picture before, and until the one after (B pictures, 0 in others); None where they are
    /// unknown or not positive.
    pub fn reference_seconds(&self) -> Option<(f64, f64)> {
        let (past, future) = match &self.source {
            Source::Anchor(anchor) => (anchor.past.filter(|&past| past > 0)?, 0),
            Source::Between { distances, .. } => distances.as_ref().ok()?.1,
            Source::Repeated(_) | Source::Unreadable(_) => return None,
        };
        Some((self.seconds(past)?, self.seconds(future)?))
    }

    fn seconds(&self, ticks: i64) -> Option<f64> {
        Some(ticks as f64 / f64::from(self.layer()?.resolution))
    }

    fn layer(&self) -> Option<&Layer> {
        match &self.source {
            Source::Anchor(anchor) => Some(&anchor.coded.layer),
            Source::Between { coded, .. } => Some(&coded.layer),
            Source::Repeated(layer) => Some(layer),
            Source::Unreadable(_) => None,
        }
    }

    /// Size in macroblocks, (columns, rows); None where its header can't be read.
    pub fn macroblocks(&self) -> Option<(usize, usize)> {
        self.layer().map(Layer::macroblocks)
    }

    /// Motion of a P or B picture; None for an I picture.
    ///
    /// # Errors
    ///
    /// The stream is damaged or uses a feature that is not supported, or a picture before is missing.
    pub fn field(&self) -> Result<Option<Arc<Field>>> {
        match &self.source {
            Source::Anchor(anchor) => anchor.field().clone(),
            Source::Between {
                coded: Coded { layer, plane, data },
                distances,
                after,
                ..
            } => {
                if let Some(refusal) = layer.refusal() {
                    return Err(refusal);
                }
                let after = after
                    .as_ref()
                    .map(|after| after.field().as_ref().map_err(Clone::clone));
                let after = after.transpose()?.and_then(Option::as_deref);
                let (distances, _) = distances.clone()?;
                let field = bidirectional::read(data, layer, *plane, after, distances)?;
                Ok(Some(field.into()))
            }
            Source::Repeated(layer) => Ok(Some(Field::still(layer.macroblocks()).into())),
            Source::Unreadable(error) => Err(error.clone()),
        }
    }
}
