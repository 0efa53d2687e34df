use super::*;

fn outcome(suite: Suite, success: bool, text: &str) -> (u32, u32) {
    let outcome = suite.outcome(&Output { success, text: text.to_owned() });
    (outcome.passed, outcome.failed)
}

#[test]
fn each_runner_is_understood() {
    for (suite, success, text, counts) in [
        (Suite::Rust, true, "     Summary [   1.203s] 41 tests run: 41 passed, 2 skipped", (41, 0)),
        (
            Suite::Rust,
            false,
            "     Summary [  12.3s] 120 tests run: 116 passed (3 slow, 1 leaky), 3 failed, 1 timed out, 0 skipped",
            (116, 4),
        ),
        (Suite::Kernel, true, "kernel 6.1.0-1: 70 passed, 0 failed in 2.0 s\r\n", (70, 0)),
        (Suite::Kernel, true, "FAILED  a: b\nkernel 6.1.0-1: 69 passed, 1 failed\n", (69, 1)),
        (Suite::Kernel, false, "ok      it loads\nKilled\n", (0, 1)),
        (Suite::Console, true, " Test Files  3 passed (3)\n      Tests  12 passed (12)\n", (12, 0)),
        (
            Suite::Console,
            false,
            " Test Files  1 failed | 2 passed (3)\n      Tests  1 failed | 11 passed | 1 skipped (13)\n",
            (11, 1),
        ),
        (
            Suite::Browser,
            true,
            "  ✓  1 login.spec.ts:3:1 › 2 passed (1.0s)\n  7 passed (12.3s)\n",
            (7, 0),
        ),
        (
            Suite::Browser,
            false,
            "  1 failed\n    login.spec.ts:3:1 › signs in\n  2 did not run\n  7 passed (12.3s)\n",
            (7, 3),
        ),
        (Suite::Browser, true, "  1 flaky\n  6 passed (12.3s)\n", (6, 1)),
    ] {
        assert_eq!(outcome(suite, success, text), counts, "{text}");
    }
}

#[test]
fn silence_is_a_failure() {
    for suite in Suite::value_variants() {
        assert_eq!(outcome(*suite, true, "nothing to do\n"), (0, 1), "{suite:?}");
        assert_eq!(outcome(*suite, false, "error: could not compile\n"), (0, 1), "{suite:?}");
    }
}

#[test]
fn a_bad_end_is_a_failure_even_when_every_test_passed() {
    assert_eq!(
        outcome(Suite::Console, false, "      Tests  12 passed (12)\nUnhandled error"),
        (12, 1)
    );
}
