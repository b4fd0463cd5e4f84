//! Networks against themselves: other batches, threads, callers and machines.

use std::time::{Duration, Instant};

use super::*;
use crate::testing::fingerprint;
use crate::winograd::TileSize;

#[test]
fn bits_do_not_depend_on_batch_threads_or_neighbours() {
    let random = &mut Random::new(3);
    let n = 19;
    for (graph, size, alone) in [
        (
            stack(random, &[24, 24, 0, 96, 96, 0, 160, 160]),
            (40, 36),
            false,
        ),
        (small_mobilenet(random), (96, 80), true),
        (small_mobilenet(random), (64, 64), false),
    ] {
        let options = Options {
            alone: Some(alone),
            ..options(Isa::detect().unwrap())
        };
        let network = plan::plan(graph, size, options).unwrap();
        assert_eq!(network.single < network.steps.len(), !alone);
        let images = random.values(n * size.0 * size.1 * 3, 2.0);
        let expected = run(
            &network,
            &images,
            Pooling::None,
            &ComputePool::new(2).unwrap(),
        );
        for (threads, batch) in [(1, 1), (1, 8), (2, 1), (2, 3), (3, 7), (5, n)] {
            let pool = ComputePool::new(threads).unwrap();
            let batches = images.chunks(batch * size.0 * size.1 * 3);
            let actual: Vec<f32> = batches
                .flat_map(|images| run(&network, images, Pooling::None, &pool))
                .collect();
            assert!(
                actual == expected,
                "{alone} {size:?}: {threads} threads, {batch} images"
            );
        }
    }
}

#[test]
fn many_callers_share_one_pool() {
    let random = &mut Random::new(5);
    for alone in [false, true] {
        let options = Options {
            alone: Some(alone),
            ..options(Isa::detect().unwrap())
        };
        let network = plan::plan(stack(random, &[16, 32, 0, 64, 64]), (30, 30), options).unwrap();
        let images = random.values(9 * 30 * 30 * 3, 2.0);
        let pool = ComputePool::new(2).unwrap();
        let expected = run(&network, &images, Pooling::None, &pool);
        std::thread::scope(|scope| {
            let call = || run(&network, &images, Pooling::None, &pool);
            let callers: Vec<_> = (0..6).map(|_| scope.spawn(call)).collect();
            for caller in callers {
                assert!(caller.join().unwrap() == expected);
            }
        });
        let workspaces = network.free().len();
        assert!(
            workspaces <= 2,
            "{workspaces} workspaces for 2 admitted callers"
        );
    }
}

// The fingerprints are those of AVX-512; AVX2 here and NEON on ARM must give the same.
#[test]
fn bits_are_the_same_on_every_machine() {
    let pool = ComputePool::new(2).unwrap();
    for isa in available().filter(|&isa| isa != Isa::Portable) {
        let random = &mut Random::new(21);
        let graph = stack(random, &[20, 40, 0, 70, 70, 0, 33]);
        let images = random.values(2 * 44 * 37 * 3, 2.0);
        for (tile, expected) in [
            (TileSize::Four, 0xad0b_63f7_84bc_7b24),
            (TileSize::Six, 0xfa80_28f7_9e2f_256e),
        ] {
            let options = Options {
                tile: Some(tile),
                ..options(isa)
            };
            let network = plan::plan(graph.clone(), (44, 37), options).unwrap();
            let actual = run(&network, &images, Pooling::None, &pool);
            assert_eq!(fingerprint(&actual), expected, "{isa:?} {tile:?}");
        }
        let random = &mut Random::new(21);
        let graph = small_mobilenet(random);
        let images = random.values(2 * 96 * 96 * 3, 1.0);
        let network = graph.plan_for((96, 96), isa).unwrap();
        let actual = run(&network, &images, Pooling::None, &pool);
        assert_eq!(fingerprint(&actual), 0xae1fd95c8c3d05ce, "{isa:?}");
    }
}

#[test]
fn a_cancelled_call_returns_early() {
    let random = &mut Random::new(9);
    let n = 2000;
    let network = stack(random, &[64, 64, 64, 64]).plan((64, 64)).unwrap();
    let images = vec![0.5; n * 64 * 64 * 3];
    let mut out = vec![0.0; n * 64];
    let pool = ComputePool::new(1).unwrap();
    let cancel = CancelToken::new();
    std::thread::scope(|scope| {
        let call = || network.run(&images, n, Pooling::Avg, &mut out, &pool, &cancel);
        let call = scope.spawn(call);
        std::thread::sleep(Duration::from_millis(30));
        let asked = Instant::now();
        cancel.cancel();
        assert_eq!(call.join().unwrap(), Err(KernelError::Cancelled));
        assert!(asked.elapsed() < Duration::from_millis(500));
    });
}
