//! Mounts of a made-up machine, and real ones that answer.

use super::*;
use crate::daemon::RealClock;
use crate::model::Wall;

const MOUNTS: &[u8] = br"27 1 254:0 / / rw - ext4 /dev/vda rw
30 27 0:50 / /srv/data rw - btrfs /dev/mapper/vg-data rw
31 27 0:51 / /srv/nas rw - nfs4 nas:/export rw
32 27 0:52 / /home/eve/x rw - fuse.eve /dev/mapper/vg-data rw
33 27 0:53 / /smb rw - cifs //nas/share rw
34 27 0:54 / /tmp rw - tmpfs tmpfs rw
";

/// The devices of a made-up machine: one has three names.
fn made_up(path: &OsStr) -> Option<Numbers> {
    match path.to_str()? {
        "/dev/vda" | "/dev/disk/by-uuid/1-2" => Some((254, 0)),
        "/dev/vdb" => Some((254, 16)),
        "/dev/mapper/vg-data" | "/dev/vg/data" | "/dev/dm-0" => Some((253, 0)),
        _ => None,
    }
}

#[test]
fn a_mount_is_found_by_its_place_its_device_or_its_share() {
    let mounts = mounts::parse(MOUNTS);
    for (wanted, found) in [
        ("/", Ok(27)),
        ("//", Err("// is not mounted")),
        ("/srv/data", Ok(30)),
        ("/srv//data/", Ok(30)),
        ("/dev/vda", Ok(27)),
        ("/dev/disk/by-uuid/1-2", Ok(27)),
        ("/dev/vg/data", Ok(30)),
        ("/dev/mapper/vg-data", Ok(30)),
        ("nas:/export", Ok(31)),
        ("nas:/export/", Ok(31)),
        ("//nas/share", Ok(33)),
        ("nas:/other", Err("nas:/other is not mounted")),
        ("/dev/vdb", Err("the device /dev/vdb is not mounted")),
        ("/dev/vdz", Err("there is no device /dev/vdz")),
        ("/srv/nas/photos", Err("nothing is mounted at /srv/nas/photos: it lies on what is mounted at /srv/nas")),
        ("/srv", Err("nothing is mounted at /srv: it lies on what is mounted at /")),
    ] {
        let seen = find(&mounts, wanted, made_up).map(|mount| mount.id);
        assert_eq!(seen, found.map_err(str::to_owned), "{wanted}");
    }
}

#[test]
fn what_a_user_says_to_have_mounted_is_not_looked_at() {
    let mounts = mounts::parse(MOUNTS);
    let asked = |_: &OsStr| panic!("it was looked at");
    let eve = mounts.iter().find(|mount| mount.is_fuse()).unwrap();
    assert_eq!(device(eve, asked), None);
    assert_eq!(device(&mounts[0], asked), Some((254, 0)));
    assert_eq!(device(&mounts[2], asked), None, "a share is no device");
}

#[test]
fn space_is_as_df_has_it() {
    let stat = |mut change: [u64; 5]| {
        let mut stat = rustix::fs::statvfs("/").unwrap();
        stat.f_frsize = 1000;
        [&mut stat.f_blocks, &mut stat.f_bfree, &mut stat.f_bavail, &mut stat.f_files, &mut stat.f_ffree]
            .into_iter()
            .zip(&mut change)
            .for_each(|(field, value)| *field = *value);
        space(&stat)
    };
    let part = |value: f64, whole: f64| Reading::Part { value, whole };
    let expected = vec![(USED, part(6e5, 9e5)), (FREE, part(3e5, 9e5)), (INODES, part(40.0, 50.0))];
    assert_eq!(stat([1000, 400, 300, 50, 10]), expected, "100 blocks are for root alone");
    assert_eq!(stat([0, 0, 0, 0, 0]), [USED, FREE, INODES].map(|id| (id, Reading::Absent)));
    let full = stat([1000, 20, u64::MAX - 4, 0, 0]);
    assert_eq!(full[0].1, part(9.8e5, 9.8e5), "less than nothing is free: nothing");
}

#[test]
fn sectors_are_the_third_and_the_seventh_number() {
    let stat = b" 1050237    41219 44463706  1185158   648470   371636 230688920  1274466  0 144388\n";
    assert_eq!(parse_sectors(stat), Some([44_463_706, 230_688_920]));
    assert_eq!((parse_sectors(b""), parse_sectors(b"1 2 x 4 5 6 7"), parse_sectors(b"1 2 3")), (None, None, None));
}

fn asked(filesystems: &Filesystems, check: u32, mount: &str) -> impl Future<Output = Sample> + use<> {
    filesystems.ask(CheckId(check), Filesystem { mount: mount.to_owned() }, Duration::from_secs(10))
}

#[tokio::test]
async fn the_root_is_as_full_as_df_says() {
    let filesystems = Filesystems::new(Arc::new(RealClock));
    let sample = asked(&filesystems, 1, "/").await;
    assert!(sample.readings.is_sorted_by(|a, b| a.0 < b.0), "{sample:?}");
    assert_eq!(sample.reading(FAILED), &Reading::Flag(false));
    let Reading::Part { value, whole } = *sample.reading(USED) else { panic!("{sample:?}") };
    #[allow(clippy::disallowed_methods, reason = "a test may start a program")]
    let df = std::process::Command::new("df").args(["-B1", "--output=used,avail", "/"]).output().unwrap();
    let df = String::from_utf8(df.stdout).unwrap();
    let df: Vec<f64> = df.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    // Others write meanwhile.
    let near = |a: f64, b: f64| (a - b).abs() < 3e9;
    assert!(near(value, df[0]) && near(whole, df[0] + df[1]), "{value} of {whole}, {df:?}");
}

#[tokio::test]
async fn what_is_not_mounted_is_missing() {
    let filesystems = Filesystems::new(Arc::new(RealClock));
    let sample = asked(&filesystems, 1, "/proc/self").await;
    assert!(sample.readings.is_sorted_by(|a, b| a.0 < b.0), "{sample:?}");
    assert_eq!((sample.reading(FAILED), sample.reading(MISSING)), (&Reading::Flag(true), &Reading::Flag(true)));
    assert_eq!(sample.reading(WRITE), &Reading::Absent);
    let note = sample.note.as_deref();
    assert_eq!(note, Some("nothing is mounted at /proc/self: it lies on what is mounted at /proc"));
    let sample = asked(&filesystems, 2, "/proc").await;
    assert_eq!((sample.reading(FAILED), sample.reading(USED)), (&Reading::Flag(false), &Reading::Absent));
    assert_eq!((sample.reading(INODES), sample.reading(READ)), (&Reading::Absent, &Reading::Absent));
}

#[tokio::test]
async fn a_mount_is_asked_once_at_a_time_and_all_who_wait_hear_it() {
    let (pool, asking) = (Pool::new("test", 1), Asking::default());
    let (release, released) = std::sync::mpsc::channel::<()>();
    let busy = pool.run(move || released.recv().is_ok(), drop).unwrap();
    let ask = || {
        let (pool, asking) = (&pool, &asking);
        async move { statvfs(pool, asking, 7, "/".into()).await }
    };
    let soon = Duration::from_millis(20);
    let both = async { tokio::join!(ask(), ask(), ask()) };
    assert!(tokio::time::timeout(soon, both).await.is_err());
    assert!(asking.lock().unwrap().is_empty(), "given up before it began: the next one asks anew");
    let mut first = Box::pin(ask());
    assert!(tokio::time::timeout(soon, &mut first).await.is_err());
    for _ in 0..5 {
        assert!(tokio::time::timeout(soon, ask()).await.is_err());
    }
    assert!(asking.lock().unwrap()[&7].len() <= 2, "those who went away are not kept");
    let release = async {
        tokio::time::sleep(soon).await;
        drop(release);
    };
    let (one, other, ()) = tokio::join!(first, ask(), release);
    assert!(one.unwrap().is_ok() && other.unwrap().is_ok());
    drop(busy);
}

#[test]
fn what_may_not_be_asked_is_unknown() {
    let mounted =
        || Some(Seen::Mounted { mount: 1, point: "/x".into(), readings: vec![(READONLY, Reading::Flag(true))] });
    let sample = |answer: Option<Result<Option<Answer>, String>>| {
        let (readings, why) = tell(answer, mounted(), Duration::from_secs(5));
        sample(Now { mono: Mono(0), wall: Wall(0) }, Duration::ZERO, readings, why)
    };
    for (answer, failed, note) in [
        (Some(Ok(Some(Err(Errno::ACCESS)))), Reading::Unknown, "/x cannot be asked: Permission denied (os error 13)"),
        (Some(Err("why".to_owned())), Reading::Unknown, "why"),
        (
            Some(Ok(Some(Err(Errno::NOTCONN)))),
            Reading::Flag(true),
            "/x answers: Transport endpoint is not connected (os error 107)",
        ),
        (None, Reading::Flag(true), "/x does not answer within 5s"),
    ] {
        let sample = sample(answer);
        assert_eq!((sample.reading(FAILED), sample.note.as_deref()), (&failed, Some(note)));
        assert_eq!((sample.reading(USED), sample.reading(MISSING)), (&Reading::Unknown, &Reading::Flag(false)));
        assert_eq!(sample.reading(READONLY), &Reading::Flag(true));
    }
}
