//! Signed distances to simple bodies, and smooth ways to join them: negative inside, positive
//! outside, after J. C. Hart, "Sphere tracing" (1996).

use crate::vector::{Vec3, vec3};

/// An ellipsoid about the origin. A first-order distance: exact at the surface.
pub(crate) fn ellipsoid(p: Vec3, radii: Vec3) -> f64 {
    let scaled = p.times(radii.map(f64::recip));
    let slope = scaled.times(radii.map(f64::recip)).length();
    let k = scaled.length();
    k * (k - 1.0) / slope.max(f64::EPSILON)
}

/// A rod from `a` to `b` whose radius runs from `radius_a` to `radius_b`, with round ends.
pub(crate) fn rod(p: Vec3, (a, radius_a): (Vec3, f64), (b, radius_b): (Vec3, f64)) -> f64 {
    let axis = b - a;
    let t = ((p - a).dot(axis) / axis.dot(axis)).clamp(0.0, 1.0);
    (p - a - axis * t).length() - (radius_a + (radius_b - radius_a) * t)
}

/// Two spheres on the y axis and the cone that touches both: heights and radii, lower first.
pub(crate) fn round_cone(
    p: Vec3,
    (low, low_radius): (f64, f64),
    (high, high_radius): (f64, f64),
) -> f64 {
    let height = high - low;
    let sine = (low_radius - high_radius) / height;
    let cosine = (1.0 - sine * sine).max(0.0).sqrt();
    let (r, y) = (p.radius(), p.y - low);
    // The flank's normals sweep the band between the two circles of contact.
    let along = y * cosine - r * sine;
    if along < 0.0 {
        r.hypot(y) - low_radius
    } else if along > height * cosine {
        r.hypot(y - height) - high_radius
    } else {
        r * cosine + y * sine - low_radius
    }
}

/// The union of two bodies with a fillet of about `width` where they meet.
pub(crate) fn smooth_union(a: f64, b: f64, width: f64) -> f64 {
    let overlap = (width - (a - b).abs()).max(0.0) / width;
    a.min(b) - 0.25 * width * overlap * overlap
}

/// The body `a` without `b`, the edge rounded by about `width`.
pub(crate) fn smooth_cut(a: f64, b: f64, width: f64) -> f64 {
    -smooth_union(-a, b, width)
}

/// The direction in which `field` grows at `p`, by differences at the corners of a tetrahedron.
pub(crate) fn gradient(field: impl Fn(Vec3) -> f64, p: Vec3, step: f64) -> Vec3 {
    [
        vec3(1.0, -1.0, -1.0),
        vec3(-1.0, -1.0, 1.0),
        vec3(-1.0, 1.0, -1.0),
        vec3(1.0, 1.0, 1.0),
    ]
    .into_iter()
    .fold(Vec3::ZERO, |sum, corner| {
        sum + corner * field(p + corner * step)
    })
}
