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
    /// Seconds that times of I and P pictures, and those of B pictures, count from.
    base: [i64; 2],
    /// The last two I or P pictures: the one shown after and the one shown before B pictures that follow.
    anchors: [Option<Arc<Anchor>>; 2],
}

/// An I or P picture.
#[derive(Debug)]
struct Anchor {
    coded: Coded,
    /// In ticks of the layer.
    time: i64,
    field: OnceLock<Result<Option<Field>>>,
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
        distances: Result<Distances>,
        after: Option<Arc<Anchor>>,
    },
    Unreadable(Error),
}

impl Reader {
    /// Starts a stream; `extradata` holds the headers that the container keeps.
    pub fn new(extradata: &[u8]) -> Self {
        let mut reader = Reader::default();
        reader.push(extradata, false);
        reader
    }

    /// The coded pictures of the next packet, in decoding order. Pictures without data (vop_coded 0) are left out.
    ///
    /// `fills_a_place`: a picture without data only fills the place of one that came with the packet before,
    /// in streams that pack two pictures into a packet, and time does not go on with it.
    pub fn push(&mut self, packet: &[u8], fills_a_place: bool) -> Vec<Picture> {
        let mut pictures = Vec::new();
        for (unit, data) in units(packet) {
            match unit {
                Unit::Layer => self.take_layer(Layer::read(data).map(Arc::new)),
                Unit::Group => self.base[0] = group_seconds(data),
                Unit::Plane => pictures.extend(self.plane(data, fills_a_place)),
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
        }
    }

    fn plane(&mut self, data: &[u8], fills_a_place: bool) -> Option<Picture> {
        let read = self
            .layer()
            .and_then(|layer| Ok((Plane::read(data, &layer)?, layer)));
        match read {
            Ok((plane, _)) if !plane.coded => {
                if plane.kind != Kind::B && !fills_a_place {
                    self.advance(plane.seconds);
                }
                None
            }
            Ok((plane, layer)) => Some(self.picture(Coded {
                layer,
                plane,
                data: data.into(),
            })),
            Err(error) => {
                // Its kind stands in the first bits, whatever else is wrong.
                let kind = Kind::of(u32::from(data.first().copied().unwrap_or(0) >> 6));
                if kind != Kind::B {
                    self.anchors = [None, self.anchors[0].take()];
                }
                Some(Picture {
                    kind,
                    source: Source::Unreadable(error),
                })
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
                    distances,
                    after: self.anchors[0].clone(),
                },
            };
        }
        self.advance(seconds);
        let time = self.base[0] * resolution + increment;
        let anchor = Arc::new(Anchor {
            coded,
            time,
            field: OnceLock::new(),
        });
        self.anchors = [Some(Arc::clone(&anchor)), self.anchors[0].take()];
        Picture {
            kind,
            source: Source::Anchor(anchor),
        }
    }

    fn distances(&self, time: i64) -> Result<Distances> {
        let [Some(after), Some(before)] = &self.anchors else {
            return Err(Error::lost_reference("a B picture"));
        };
        let distances = Distances {
            past: time - before.time,
            both: after.time - before.time,
        };
        if 0 < distances.past && distances.past < distances.both {
            return Ok(distances);
        }
        Err(Error::malformed("vop_time_increment"))
    }
}

impl Anchor {
    /// Motion of a P picture; None for an I picture.
    fn field(&self) -> &Result<Option<Field>> {
        self.field.get_or_init(|| {
            let Coded { layer, plane, data } = &self.coded;
            if plane.kind == Kind::I {
                return Ok(None);
            }
            match layer.refusal() {
                Some(refusal) => Err(refusal),
                None if plane.kind == Kind::S => Err(Error::malformed("vop_coding_type")),
                None => predicted::read(data, layer, *plane).map(Some),
            }
        })
    }
}

impl Picture {
    /// Its type.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Motion of a P or B picture; None for an I picture.
    ///
    /// # Errors
    ///
    /// The stream is damaged or uses a feature that is not supported, or a picture before is missing.
    pub fn field(&self) -> Result<Option<Field>> {
        match &self.source {
            Source::Anchor(anchor) => anchor.field().clone(),
            Source::Between {
                coded: Coded { layer, plane, data },
                distances,
                after,
            } => {
                if let Some(refusal) = layer.refusal() {
                    return Err(refusal);
                }
                let after = after
                    .as_ref()
                    .map(|after| after.field().as_ref().map_err(Clone::clone));
                let after = after.transpose()?.and_then(Option::as_ref);
                bidirectional::read(data, layer, *plane, after, distances.clone()?).map(Some)
            }
            Source::Unreadable(error) => Err(error.clone()),
        }
    }
}
