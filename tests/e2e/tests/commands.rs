//! The `holdfast` command and the node's messages, as a person or a script meets them.

use std::process::Output;

use holdfast_e2e::{Cluster, binary};
use tokio::process::Command;

fn holdfast(cluster: &Cluster, args: &[&str]) -> impl Future<Output = Output> + use<> {
    let endpoints: Vec<&str> = cluster.nodes.iter().map(|node| node.http_address.as_str()).collect();
    let mut command = Command::new(binary("holdfast"));
    command.args(["--endpoints", &endpoints.join(",")]).args(args).kill_on_drop(true);
    async move { command.output().await.expect("the command runs") }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn baskets() -> String {
    format!("{}/../data/retail-week.csv.gz", env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test]
async fn real_baskets_are_sold_and_every_unit_is_accounted_for_through_a_leader_kill() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let dir = tempfile::tempdir().unwrap();
    let (rejects, half) = (dir.path().join("rejects.csv"), dir.path().join("half"));
    let killer = dir.path().join("kill");
    let script = format!("#!/bin/sh\necho >{}\n", half.display());
    std::fs::write(&killer, script).unwrap();
    std::fs::set_permissions(&killer, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let file = baskets();
    let args = [
        "-o",
        "json",
        "replay",
        &file,
        "--baskets",
        "600",
        "--reject-file",
        rejects.to_str().unwrap(),
        "--at-half",
        killer.to_str().unwrap(),
    ];
    let replay = holdfast(&cluster, &args);
    tokio::pin!(replay);
    let half_is_sold = holdfast_e2e::eventually("half is sold", || {
        let half = half.clone();
        async move { half.exists().then_some(()) }
    });
    let output = tokio::select! {
        output = &mut replay => output,
        () = half_is_sold => {
            cluster.nodes[leader].kill().await;
            replay.await
        }
    };
    assert!(output.status.success(), "{}", text(&output));
    cluster.start_node(leader);
    cluster.equal_digests().await;
    let audit = holdfast(&cluster, &["audit"]).await;
    assert!(audit.status.success(), "{}", text(&audit));
    let rejected = std::fs::read_to_string(&rejects).unwrap();
    assert_eq!(rejected.lines().count(), 199, "a header and the 198 lines of which nothing was sold");
}

#[tokio::test]
async fn the_command_tells_by_its_exit_code_what_came_of_it() {
    let mut cluster = Cluster::start(3).await;
    cluster.leader().await;
    let code = |output: &Output| output.status.code().expect("it was not ended by a signal");
    let created = holdfast(&cluster, &["sku", "create", "S1", "A", "5"]).await;
    assert_eq!(code(&created), 0, "{}", text(&created));
    let reserved = holdfast(&cluster, &["-o", "json", "reserve", "S1/A=2", "--ttl", "60"]).await;
    let hold: serde_json::Value = serde_json::from_slice(&reserved.stdout).unwrap();
    let id = hold["holdId"].as_str().unwrap();
    assert_eq!(code(&holdfast(&cluster, &["confirm", id]).await), 0);
    let refused = holdfast(&cluster, &["release", id]).await;
    assert_eq!(code(&refused), 1);
    assert!(text(&refused).contains("was confirmed"), "{}", text(&refused));
    assert_eq!(code(&holdfast(&cluster, &["reserve", "nonsense"]).await), 2);
    let movements = holdfast(&cluster, &["movements", "--store", "S1", "--item", "A"]).await;
    assert!(text(&movements).contains("CONFIRMED"), "{}", text(&movements));
    let status = holdfast(&cluster, &["status"]).await;
    assert_eq!(code(&status), 0, "{}", text(&status));
    for index in 0..3 {
        cluster.nodes[index].kill().await;
    }
    let gone = holdfast(&cluster, &["--timeout", "2", "sku", "get", "S1", "A"]).await;
    assert_eq!(code(&gone), 3, "{}", text(&gone));
}

#[tokio::test]
async fn an_import_goes_on_where_it_stopped_and_tells_what_it_cannot_use() {
    let mut cluster = Cluster::start(1).await;
    cluster.leader().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rows.csv");
    std::fs::write(&file, "storeId,itemId,available\nS1,A,5\nS1,B,x\nS1,C C,1\nS2,A,7\n").unwrap();
    let path = file.to_str().unwrap();
    let first = holdfast(&cluster, &["-o", "json", "import", path]).await;
    assert_eq!(first.status.code(), Some(1));
    let told: serde_json::Value = serde_json::from_slice(&first.stdout).unwrap();
    assert_eq!((&told["created"], &told["rejected"]), (&2.into(), &2.into()));
    let rejects = std::fs::read_to_string(dir.path().join("rows.rejects.csv")).unwrap();
    assert!(rejects.contains("3,") && rejects.contains("4,"), "{rejects}");
    std::fs::write(&file, "storeId,itemId,available\nS1,A,5\nS2,A,7\nS3,A,1\n").unwrap();
    let second = holdfast(&cluster, &["-o", "json", "import", path]).await;
    let told: serde_json::Value = serde_json::from_slice(&second.stdout).unwrap();
    assert_eq!((&told["created"], &told["existed"]), (&1.into(), &2.into()));
}

#[tokio::test]
async fn a_directory_that_must_not_be_used_is_refused_in_one_line() {
    let mut cluster = Cluster::start(1).await;
    cluster.leader().await;
    // In use by a running node.
    let dir = cluster.nodes[0].dir.clone();
    let second = cluster.add_node(1);
    cluster.nodes[second].dir = dir;
    let listing = cluster.nodes[second].listing();
    cluster.nodes[second].start(&["--cluster", &listing]);
    assert_eq!(cluster.nodes[second].wait().await, 2);
    assert!(cluster.nodes[second].output().contains("in use by another process"));
    // Another member's.
    cluster.nodes[0].kill().await;
    cluster.nodes[second].id = 9;
    let listing = cluster.nodes[second].listing();
    cluster.nodes[second].start(&["--cluster", &listing]);
    assert_eq!(cluster.nodes[second].wait().await, 2);
    let output = cluster.nodes[second].output();
    assert!(output.contains("this directory is member 1's, but this node was started as 9"), "{output}");
}

#[test]
fn a_wrong_value_from_the_environment_names_the_variable() {
    let mut command = std::process::Command::new(binary("holdfast-node"));
    let output =
        command.args(["--id", "1"]).env("HOLDFAST_MAX_QUEUE", "many").output().expect("the program runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("HOLDFAST_MAX_QUEUE=many"), "{}", text(&output));
    let mut command = std::process::Command::new(binary("holdfast-node"));
    command.args(["--id", "1", "--max-queue", "many"]).env("HOLDFAST_MAX_QUEUE", "many");
    let output = command.output().expect("the program runs");
    assert!(!text(&output).contains("HOLDFAST_MAX_QUEUE"), "{}", text(&output));
}

#[tokio::test]
async fn the_survivor_of_a_lost_majority_becomes_a_cluster_of_its_own() {
    let mut cluster = Cluster::start(3).await;
    let created = holdfast(&cluster, &["sku", "create", "S1", "A", "5"]).await;
    assert!(created.status.success(), "{}", text(&created));
    cluster.equal_digests().await;
    let before = cluster.http(2).get("/cluster").await.expect(200).body["clusterId"].clone();
    for index in 0..3 {
        cluster.nodes[index].kill().await;
    }
    let node = &cluster.nodes[2];
    let args = ["recover", "--id", "3", "--peer", &node.peer_address, "--http", &node.http_address, "--dir"];
    let recover = |more: &'static [&'static str]| {
        let mut command = std::process::Command::new(binary("holdfast-node"));
        command.args(args).arg(&node.dir).args(more);
        command.output().expect("the node's program runs")
    };
    let asked = recover(&[]);
    assert_eq!(asked.status.code(), Some(2));
    assert!(text(&asked).contains("--accept-data-loss"));
    let done = recover(&["--accept-data-loss"]);
    assert!(done.status.success(), "{}", text(&done));
    cluster.start_node(2);
    assert_eq!(cluster.leader().await, 2);
    let http = cluster.http(2);
    assert_eq!(http.get("/inventory/S1/items/A").await.expect(200).body["available"], 5);
    assert_ne!(http.get("/cluster").await.expect(200).body["clusterId"], before);
    cluster.audit().await;
    // A member of the old cluster is turned away: it never becomes ready, and changes nothing.
    cluster.start_node(0);
    let old = cluster.http(0);
    holdfast_e2e::eventually("the old member is up", || async {
        (old.get("/livez").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(old.get("/readyz").await.status, 503);
    assert_eq!(http.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn orders_are_handled_from_the_command_line() {
    let cluster = Cluster::start(3).await;
    let run = async |args: &[&str]| {
        let output = holdfast(&cluster, &[&["-o", "json"], args].concat()).await;
        assert!(output.status.success(), "{args:?}: {}", text(&output));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON")
    };
    run(&["sku", "create", "S1", "A", "10"]).await;
    let placed = run(&["order", "place", "S1/A=2", "--ttl", "600", "--owner", "cart"]).await;
    let id = placed["orderId"].as_str().expect("an id");
    assert_eq!(run(&["order", "lines", id, "S1/A=3"]).await["lines"][0]["reserved"], 3);
    assert_eq!(run(&["order", "pay", id, "p1", "--failed"]).await["status"], "PLACED");
    assert_eq!(run(&["order", "cancel", id, "--reason", "too slow"]).await["status"], "CANCELLED");
    let pay = ["order", "pay", id, "p1", "--amount-minor", "5", "--currency", "EUR"];
    assert_eq!(run(&pay).await["refundDue"], true);
    assert_eq!(run(&["order", "list", "--status", "refund-due"]).await[0]["orderId"], id);
    assert_eq!(run(&["order", "refund", id, "p1"]).await["refundDue"], false);
    assert_eq!(run(&["order", "get", id]).await["payments"][0]["status"], "REFUNDED");
    let refused = holdfast(&cluster, &["order", "lines", id, "S1/A=1"]).await;
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(text(&refused).contains("order_conflict"), "{}", text(&refused));
    let table = holdfast(&cluster, &["movements"]).await;
    assert!(text(&table).contains("ORDER_LINES_REPLACED"), "{}", text(&table));
}
