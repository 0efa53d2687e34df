use super::*;
use crate::content::cases;

#[test]
fn every_case_of_the_catalogue_does_what_it_says() {
    let proof = cases::prove(&Catalogue::embedded().unwrap()).unwrap();
    assert_eq!(proof.failures, []);
    assert!(proof.rules > 0 && proof.firing >= proof.rules && proof.quiet >= proof.rules);
}
