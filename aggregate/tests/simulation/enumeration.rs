//! Where a fault can be is finite: a crash or an error at every call, and a crash at every call of the recovery.

use crate::disk::{Call, CallKind, Crash, CrashKind, DiskError, Effect, Faults, Survival};
use crate::subject::Program;
use crate::world::{Plan, ProcessPlan, Size, World, run};

/// All plans with one crash in a run of a seed.
pub(crate) fn crashes<P: Program>(program: &P, size: Size, seed: u64) -> Result<Vec<Plan>, String> {
    let plan = |faults| Plan { seed, size, processes: vec![ProcessPlan::with(faults)] };
    let calls = first_calls(program, &plan(Faults::default()))?;
    Ok(crashes_at(&calls)
        .into_iter()
        .map(|crash| plan(Faults { crash: Some(crash), ..Faults::default() }))
        .collect())
}

/// All plans with an error at one call in a run of a seed.
pub(crate) fn errors<P: Program>(program: &P, size: Size, seed: u64) -> Result<Vec<Plan>, String> {
    let plan = |faults| Plan { seed, size, processes: vec![ProcessPlan::with(faults)] };
    let calls = first_calls(program, &plan(Faults::default()))?;
    let mut plans = Vec::new();
    for call in &calls {
        for error in DiskError::ALL.into_iter().filter(|error| error.meets(call.kind)) {
            plans.push(plan(Faults { errors: [(call.number, error)].into(), ..Faults::default() }));
        }
    }
    Ok(plans)
}

/// All plans that go on after a first process with a crash in the recovery.
pub(crate) fn crashes_in_recovery<P: Program>(
    world: &World<'_, P>,
    first: &Plan,
) -> Result<Vec<Plan>, String> {
    let plan = |faults| {
        let mut plan = first.clone();
        plan.processes.push(ProcessPlan::with(faults));
        plan
    };
    let calm = plan(Faults::default());
    let mut world = world.fork();
    let result = world.live_through(&calm.processes[first.processes.len()..]);
    let calls = world.tell(&calm, result)?.calls.pop().unwrap_or_default();
    // The recovery, and the first things after it.
    let written = calls.iter().position(|call| call.kind == CallKind::Write).unwrap_or(calls.len());
    let crashes = crashes_at(&calls[..calls.len().min(written + 3)]);
    Ok(crashes.into_iter().map(|crash| plan(Faults { crash: Some(crash), ..Faults::default() })).collect())
}

/// The calls of the first process of a plan.
fn first_calls<P: Program>(program: &P, plan: &Plan) -> Result<Vec<Call>, String> {
    Ok(run(program, plan)?.calls.swap_remove(0))
}

fn crashes_at(calls: &[Call]) -> Vec<Crash> {
    let mut crashes = Vec::new();
    for call in calls.iter().filter(|call| call.kind.changes_something()) {
        let has_parts = matches!(
            call.kind,
            CallKind::Write | CallKind::RenameNew | CallKind::CreateDirectory | CallKind::Cut
        );
        for effect in [Effect::None, Effect::Part, Effect::Whole] {
            if effect == Effect::Part && !has_parts {
                continue;
            }
            for kind in [
                CrashKind::Kill,
                CrashKind::PowerLoss(Survival::Nothing),
                CrashKind::PowerLoss(Survival::Everything),
                CrashKind::PowerLoss(Survival::Some(call.number)),
            ] {
                crashes.push(Crash { call: call.number, effect, kind });
            }
        }
    }
    crashes
}
