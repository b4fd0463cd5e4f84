//! Objects on web servers, and which servers may be asked.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use arrow::array::AsArray;

use crate::scan::{error, run, session};

/// A web server on this machine. `/to/ADDRESS` sends its visitors on to `http://ADDRESS`; everything else
/// is an object whose content is its own address. Returns where it is, and what was asked for.
fn server() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let noted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let first = lines.next().unwrap().unwrap();
            while !lines.next().unwrap().unwrap().is_empty() {}
            let target = first.split(' ').nth(1).unwrap().to_owned();
            noted.lock().unwrap().push(target.clone());
            let (head, body) = match target.strip_prefix("/to/") {
                Some(to) => (format!("302 Found\r\nLocation: http://{to}"), ""),
                None if target == "/none" => ("404 Not Found".to_owned(), ""),
                None => ("200 OK".to_owned(), &*target),
            };
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (address, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_sent_as_they_are() {
    let (address, _) = server();
    let ctx = session();
    for (target, expected) in [
        (
            "/a.jpg?X-Amz-Signature=x%2Fy&b=c+d",
            "/a.jpg?X-Amz-Signature=x%2Fy&b=c+d",
        ),
        ("/a b/%2Fc", "/a%20b/%2Fc"),
        (&format!("/to/{address}/a.jpg"), "/a.jpg"),
    ] {
        let sql = format!("SELECT read_blob('http://{address}{target}')");
        let found = run(&ctx, &sql).await;
        let found = found[0].column(0).as_binary_view().value(0).to_vec();
        assert_eq!(String::from_utf8(found).unwrap(), expected);
    }
    let said = error(&ctx, &format!("SELECT read_blob('http://{address}/none')")).await;
    assert!(said.contains("try_read_blob gives NULL"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_server_of_this_machine_is_asked_where_that_is_not_allowed() {
    let (address, asked) = server();
    let port = address.rsplit(':').next().unwrap();
    let ctx = session();
    run(&ctx, "SET featurize.read_blob_local_hosts = false").await;
    for host in [
        "127.0.0.1",
        "localhost",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
    ] {
        let said = error(&ctx, &format!("SELECT read_blob('http://{host}:{port}/x')")).await;
        assert!(
            said.contains("SET featurize.read_blob_local_hosts = true"),
            "{said}"
        );
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_sends_nobody_to_places_that_are_not_allowed() {
    let (address, asked) = server();
    let (other, others) = server();
    let ctx = session();
    run(
        &ctx,
        &format!("SET featurize.read_blob_from = 'http://{address}'"),
    )
    .await;
    let sql = format!("SELECT read_blob('http://{address}/to/{other}/secret')");
    let said = error(&ctx, &sql).await;
    assert!(said.contains("may not read"), "{said}");
    assert_eq!(asked.lock().unwrap().len(), 1);
    assert!(others.lock().unwrap().is_empty());
}
