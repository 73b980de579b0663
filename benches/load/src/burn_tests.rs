use std::time::Duration;

use crate::burn;
use crate::burn::thread_cpu_time;

#[test]
fn burning_uses_cpu_time_of_this_thread() {
    let time = Duration::from_millis(2);
    let before = thread_cpu_time();
    burn(time);
    assert!(thread_cpu_time() - before >= time);
}
