//! The objects of `examples/kubernetes` fit together, and the configuration in them is one.

use serde_json::Value;

use crate::documents::loads;

const FILES: [&str; 4] = ["configuration.yaml", "deployment.yaml", "secret.yaml", "service.yaml"];

/// All objects, in the order of the files.
fn objects() -> Vec<Value> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/kubernetes");
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
    FILES.iter().flat_map(|file| serde_saphyr::from_multiple::<Value>(&read(file)).unwrap()).collect()
}

fn object(kind: &str, name: &str) -> Value {
    let objects = objects();
    let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}")).clone()
}

fn configuration() -> String {
    object("ConfigMap", "usher")["data"]["usher.yaml"].as_str().unwrap().to_owned()
}

fn container() -> Value {
    object("Deployment", "usher")["spec"]["template"]["spec"]["containers"][0].clone()
}

fn port_of(address: &Value) -> u64 {
    address.as_str().or(address["address"].as_str()).unwrap().rsplit_once(':').unwrap().1.parse().unwrap()
}

#[test]
fn every_object_is_one_and_they_belong_together() {
    let objects = objects();
    assert_eq!(objects.len(), 6);
    for object in &objects {
        assert!(object["apiVersion"].is_string() && object["metadata"]["name"].is_string(), "{object}");
        assert_eq!(object["metadata"]["labels"]["app.kubernetes.io/name"], "usher", "{object}");
    }
    let deployment = object("Deployment", "usher");
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&deployment["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&object("Service", "usher")["spec"]["selector"], labels);
    assert_eq!(&object("PodDisruptionBudget", "usher")["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(deployment["spec"]["replicas"], 2);
}

#[test]
fn the_configuration_in_the_config_map_loads() {
    // In a directory that stands in, the files have no folders.
    let yaml = configuration();
    let yaml =
        yaml.replace("/run/secrets/tls/tls.", "/run/secrets/tls.").replace("/run/secrets/usher/", "/run/secrets/");
    loads(&yaml, "examples/kubernetes/configuration.yaml");
}

#[test]
fn ports_and_probes_are_those_of_the_listeners() {
    let configuration: Value = serde_saphyr::from_str(&configuration()).unwrap();
    let container = container();
    for port in container["ports"].as_array().unwrap() {
        let listener = port["name"].as_str().unwrap();
        assert_eq!(port["containerPort"], port_of(&configuration["listen"][listener]), "{listener}");
    }
    for (probe, path) in [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")] {
        assert_eq!(container[probe]["httpGet"]["path"], path);
        assert_eq!(container[probe]["httpGet"]["port"], "admin");
    }
    for port in object("Service", "usher")["spec"]["ports"].as_array().unwrap() {
        let target = port["targetPort"].as_str().unwrap();
        assert!(["https", "http"].contains(&target), "{target} is for nobody outside");
    }
    let seconds = |key: &str| {
        let text = configuration["shutdown"][key].as_str().unwrap();
        text.strip_suffix('s').unwrap().parse::<u64>().unwrap()
    };
    let pod = &object("Deployment", "usher")["spec"]["template"]["spec"];
    assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > seconds("delay") + seconds("deadline"));
}

#[test]
fn every_file_of_the_configuration_is_mounted() {
    let container = container();
    let pod = object("Deployment", "usher")["spec"]["template"]["spec"].clone();
    let mounts: Vec<(String, String)> = container["volumeMounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mount| (mount["mountPath"].as_str().unwrap().to_owned(), mount["name"].as_str().unwrap().to_owned()))
        .collect();
    let configuration = configuration();
    let files = configuration.split("/run/secrets/").skip(1);
    let files: Vec<&str> = files.map(|rest| rest.split([' ', ',', '\n']).next().unwrap()).collect();
    assert_eq!(files.len(), 6, "{files:?}");
    for file in files {
        let (folder, key) = file.split_once('/').unwrap();
        let (_, volume) = mounts.iter().find(|(path, _)| *path == format!("/run/secrets/{folder}")).expect(file);
        let volumes = pod["volumes"].as_array().unwrap();
        let volume = volumes.iter().find(|other| other["name"] == **volume).unwrap();
        let secret = object("Secret", volume["secret"]["secretName"].as_str().unwrap());
        assert!(secret["stringData"][key].is_string(), "{file}");
    }
    let config = container["args"].as_array().unwrap().last().unwrap().as_str().unwrap();
    let (folder, key) = config.rsplit_once('/').unwrap();
    assert!(mounts.iter().any(|(path, _)| path == folder), "{config}");
    assert!(object("ConfigMap", "usher")["data"][key].is_string(), "{config}");
}

#[test]
fn a_pod_has_no_rights_that_it_does_not_need() {
    let pod = object("Deployment", "usher")["spec"]["template"]["spec"].clone();
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["automountServiceAccountToken"], false);
    let context = &container()["securityContext"];
    assert_eq!(context["allowPrivilegeEscalation"], false);
    assert_eq!(context["readOnlyRootFilesystem"], true);
    assert_eq!(context["capabilities"]["drop"][0], "ALL");
}
