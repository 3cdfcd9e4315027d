//! `ovation topology reset`: begins a new epoch, after it was seen what that means.

use ovation_client::Cluster;
use ovation_topology::{PartitionReset, ResetError, ResetFrom};

use crate::args::{Beginning, ResetArgs};
use crate::failure::Failure;
use crate::{parts, say};

pub(crate) async fn reset(args: ResetArgs) -> Result<(), Failure> {
    let topology = parts::topology(&args.topology.topology)?;
    let cluster = Cluster::new(&args.cluster.cluster);
    parts::reachable(&cluster).await?;
    let from = match args.from {
        Beginning::Beginning => ResetFrom::Beginning,
        Beginning::Now => ResetFrom::Now,
    };
    let resets = ovation_topology::plan_reset(&cluster, &topology, args.stage.as_deref(), from)
        .await
        .map_err(failure)?;
    for reset in &resets {
        say::line(sentence(reset));
    }
    if !args.yes {
        say::line("nothing was changed; do it with --yes");
        return Ok(());
    }
    ovation_topology::reset(&cluster, &resets).await.map_err(failure)?;
    say::line("done: engines that run go on with the new epoch within a few seconds");
    Ok(())
}

fn sentence(reset: &PartitionReset) -> String {
    let PartitionReset { stage, partition, epoch, seq, next_epoch, offset, high_watermark, .. } = reset;
    let checkpoint = match reset.checkpoint {
        Some(offset) => format!("checkpoint at offset {offset}"),
        None => "no checkpoint that can be used".to_owned(),
    };
    format!(
        "stage {stage}, partition {partition}: epoch {epoch} ({seq} results, {checkpoint}) ends and stays in the sink; epoch \
         {next_epoch} begins at offset {offset}, with {} records to process, and readers take its results",
        high_watermark - offset
    )
}

fn failure(error: ResetError) -> Failure {
    match error {
        ResetError::NoStage(..) | ResetError::NoCheckpoints(_) => Failure::Invalid(error.to_string()),
        _ => Failure::Part(parts::error_text(&error.to_string())),
    }
}
