//! Images by a container engine: here a script that knows the words of the command line and runs a shell in place of a container.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use training::{Outcome, Program, Stop};

use crate::harness::{Machine, members, wait};

/// Notes its words, finds the volume and the variables, and runs the "image", which is a script.
const ENGINE: &str = r#"#!/bin/sh
echo "$@" >> "$(dirname "$0")/calls"
case $1 in
    run) ;;
    kill) kill -TERM "$(cat "$(dirname "$0")/pid-$4")"; exit ;;
    *) exit 0 ;;
esac
shift
base=; file=; name=
while :; do
    case $1 in
        --rm) shift ;;
        --volume) case $2 in *:/opt/ml) base=${2%%:/opt/ml} ;; esac; shift 2 ;;
        --env-file) file=$2; shift 2 ;;
        --name) name=$2; shift 2 ;;
        --*) shift 2 ;;
        *) break ;;
    esac
done
image=$1; shift
[ "$image" = absent ] && { echo "no such image: absent" >&2; exit 125; }
while IFS= read -r line; do export "$line"; done < "$file"
export BASE=$base
echo $$ > "$(dirname "$0")/pid-$name"
exec /bin/sh -c "$image" image "$@"
"#;

fn engine(folder: &Path) -> PathBuf {
    let path = folder.join("engine");
    std::fs::write(&path, ENGINE).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn container(machine: &Machine, image: &str) -> training::Job {
    let mut job = machine.job("");
    job.program = Program::Container {
        engine: engine(machine.scratch.path()),
        image: image.into(),
        entrypoint: vec![],
        arguments: vec![],
        is_isolated: false,
    };
    job
}

fn calls(machine: &Machine) -> String {
    std::fs::read_to_string(machine.scratch.path().join("calls")).unwrap()
}

#[tokio::test]
async fn an_image_is_run_with_its_folder_and_variables() {
    let machine = Machine::new();
    let mut job = container(
        &machine,
        "echo got $1 $MINE $TRAINING_JOB_NAME; cp $BASE/input/config/resourceconfig.json $BASE/model/",
    );
    job.environment.insert("MINE".into(), "secret".into());
    let ended = machine.run(job).await;
    assert_eq!(ended.outcome, Outcome::Completed);
    assert_eq!(machine.heard.lines(1), ["got train secret job-1"]);
    let model = machine.stores.get("b", "out/job-1/output/model.tar.gz").await.unwrap();
    assert!(members(&model)[0].1.contains("\"network_interface_name\":\"eth0\""));
    let calls = calls(&machine);
    for words in [
        "run --rm --name clary-job-1-",
        "--hostname algo-1",
        "--memory 1073741824",
        "--cpus 2",
        "rm --force clary-job-1-",
    ] {
        assert!(calls.contains(words), "{words} in {calls}");
    }
    assert!(!calls.contains("secret"), "{calls}");
}

#[tokio::test]
async fn an_image_that_is_not_there_is_a_reason() {
    let machine = Machine::new();
    let Outcome::Failed(reason) = machine.run(container(&machine, "absent")).await.outcome else {
        panic!("expected a failure")
    };
    assert!(
        reason.starts_with("ClientError: ")
            && reason.ends_with("cannot run the image absent: no such image: absent"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_container_is_asked_to_end_through_its_engine() {
    let machine = Machine::new();
    let image = "trap 'echo saved > $BASE/model/m; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    let running = machine.start(container(&machine, image));
    machine.heard.wait_for("ready").await;
    machine.stop.send_replace(Stop::Stop);
    let ended = wait(running).await;
    assert_eq!((ended.outcome, ended.model.is_some()), (Outcome::Stopped, true));
    assert!(calls(&machine).contains("kill --signal TERM clary-job-1-"));
}

#[tokio::test]
async fn containers_of_several_hosts_have_a_network() {
    let machine = Machine::new();
    let mut job = container(&machine, "exit 0");
    job.hosts = 2;
    assert_eq!(machine.run(job).await.outcome, Outcome::Completed);
    let calls = calls(&machine);
    let network = calls.lines().find_map(|line| line.strip_prefix("network create ")).unwrap().to_owned();
    for host in ["algo-1", "algo-2"] {
        assert!(calls.contains(&format!("--network {network} --network-alias {host}")), "{calls}");
    }
    assert!(calls.contains(&format!("network rm {network}")), "{calls}");
}
