//! Layers of transformers in Candle's own operations, on maps (n, channels, 1, tokens).

use candle_core::{D, Result, Tensor, bail};
use featurize_kernels::{Attention, Norm};

/// Squares of images (n, colours, height, width) as tokens whose channels are in height, width, colour order.
pub(in crate::models) fn patches(images: &Tensor, side: usize) -> Result<Tensor> {
    let (n, colours, height, width) = images.dims4()?;
    let (down, across) = (height / side, width / side);
    images
        .narrow(2, 0, down * side)?
        .narrow(3, 0, across * side)?
        .reshape(&[n, colours, down, side, across, side][..])?
        .permute([0, 3, 5, 1, 2, 4])?
        .reshape((n, side * side * colours, 1, down * across))
}

pub(in crate::models) fn tokens(map: &Tensor, prefix: &[f32], positions: &[f32]) -> Result<Tensor> {
    let (n, channels, _, width) = map.dims4()?;
    let columns = |values: &[f32]| {
        let count = values.len() / channels;
        Tensor::from_slice(values, (1, count, 1, channels), map.device())?.permute((0, 3, 2, 1))
    };
    let own = map.broadcast_add(&columns(positions)?)?;
    if prefix.is_empty() {
        return Ok(own);
    }
    let before = prefix.len() / channels;
    let prefix = columns(prefix)?.broadcast_as((n, channels, 1, before))?;
    Tensor::cat(&[&prefix, &own.narrow(3, 0, width)?], 3)
}

pub(in crate::models) fn normalise(norm: &Norm, map: &Tensor) -> Result<Tensor> {
    let channels = norm.gamma.len();
    let numbers = |values: &[f32]| Tensor::from_slice(values, (1, channels, 1, 1), map.device());
    let centred = map.broadcast_sub(&map.mean_keepdim(1)?)?;
    let deviation = (centred.sqr()?.mean_keepdim(1)? + norm.epsilon)?.sqrt()?;
    centred
        .broadcast_div(&deviation)?
        .broadcast_mul(&numbers(&norm.gamma)?)?
        .broadcast_add(&numbers(&norm.beta)?)
}

pub(in crate::models) fn attend(attention: &Attention, map: &Tensor) -> Result<Tensor> {
    let (n, channels, _, tokens) = map.dims4()?;
    let heads = attention.heads;
    let kinds = if attention.queries.is_some() { 2 } else { 3 };
    let all = channels / kinds;
    let head = all / heads;
    // (n · heads, channels, tokens)
    let kind = |index: usize| {
        map.narrow(1, index * all, all)?
            .reshape((n * heads, head, tokens))?
            .contiguous()
    };
    let queries = match &attention.queries {
        Some(given) => {
            let count = given.len() / all;
            Tensor::from_slice(given.as_slice(), (1, count, all), map.device())?
                .broadcast_as((n, count, all))?
                .transpose(1, 2)?
                .reshape((n * heads, head, count))?
        }
        None => kind(0)?,
    };
    let (keys, values) = (kind(kinds - 2)?, kind(kinds - 1)?);
    let products = queries.transpose(1, 2)?.contiguous()?.matmul(&keys)?;
    let weights = candle_nn::ops::softmax(&products, D::Minus1)?;
    let out = weights.matmul(&values.transpose(1, 2)?.contiguous()?)?;
    let Some(count) = out.dims().get(1).copied() else {
        bail!("attention gives nothing")
    };
    out.transpose(1, 2)?
        .contiguous()?
        .reshape((n, all, 1, count))
}
