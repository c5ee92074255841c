fn main() {
    print!("{}", certwright::api::crds_yaml().unwrap_or_default());
}
