//! A file that changed a little costs a little.

use super::*;

fn tree(bytes: Vec<u8>) -> BTreeMap<Vec<u8>, Node> {
    [(b"disk".to_vec(), Node::File(plain(bytes)))].into()
}

#[test]
fn nobody_is_asked_about_the_chunks_that_a_large_file_had_before() {
    for secret in [None, Some(DomainSecret([3; 32]))] {
        let keeper = Arc::new(Keeper { secret, ..Keeper::default() });
        let mut bytes = noise(1, 30 << 20);
        backup(&keeper, &tree(bytes.clone()), None).unwrap();
        let all = keeper.asked.swap(0, Ordering::Relaxed);
        assert!(all > 60, "{all}");

        bytes[9_000_000] ^= 1;
        bytes.splice(20_000_000..20_000_000, noise(2, 777));
        let changed = tree(bytes);
        let (before, basis) = (keeper.stored(), keeper.basis());
        let (finished, _) = backup(&keeper, &changed, Some(basis)).unwrap();
        check(&keeper, &changed);
        assert_eq!(finished.counts.files_read, 1);
        let asked = keeper.asked.swap(0, Ordering::Relaxed);
        // Those beside the two changes, and those of the two streams.
        assert!(asked < 12, "{asked} of {all}");
        assert!(keeper.stored() - before < 12);

        // As it is cut without a basis.
        let anew = Arc::new(Keeper { secret: keeper.secret.clone(), ..Keeper::default() });
        backup(&anew, &changed, None).unwrap();
        assert_eq!(anew.stream(&anew.last().refs), keeper.stream(&keeper.last().refs));
    }
}
