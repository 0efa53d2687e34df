// One decision about all events of a kind: the plan first, then how far it is, and the way back.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Alert, Modal, Radio } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { act, read } from "../../api";
import type { JobAction, JobFilter } from "../../contract";
import { useProblemText } from "../problem";
import { Loaded } from "../states";
import { Effects, Plan, Remark } from "./decision";
import { JobProgress, useJobSubject } from "./job-progress";

const ACTIONS = ["mark_handled", "ignore"] as const satisfies JobAction[];

interface Props {
  filter: Partial<JobFilter>;
  onClose: () => void;
}

export function JobDialog({ filter, onClose }: Props) {
  const [job, setJob] = useState<string>();
  return job === undefined ? (
    <AskDialog filter={filter} onClose={onClose} onBegun={setJob} />
  ) : (
    <ProgressDialog id={job} onClose={onClose} />
  );
}

function AskDialog({ filter, onClose, onBegun }: Props & { onBegun: (id: string) => void }) {
  const { t } = useTranslation();
  const say = useProblemText();
  const subject = useJobSubject(filter);
  const [action, setAction] = useState<JobAction>("mark_handled");
  const [remark, setRemark] = useState("");
  const plan = useQuery(read.jobPlan(filter, action));
  const begin = useMutation({
    mutationFn: () => act.beginJob(filter, action, remark.trim()),
    onSuccess: ({ id }) => onBegun(id),
  });
  const needsRemark = action === "mark_handled";
  const ready = plan.isSuccess && plan.data.findings > 0 && (!needsRemark || remark.trim() !== "");
  return (
    <Modal
      open
      width={620}
      title={t("job.title")}
      okText={t(`handle.do.${action}`)}
      cancelText={t("part.cancel")}
      okButtonProps={{ disabled: !ready, loading: begin.isPending }}
      onOk={() => begin.mutate()}
      onCancel={onClose}
    >
      <p className="handle-what">{subject}</p>
      <Radio.Group
        className="handle-actions"
        value={action}
        onChange={(event) => setAction(event.target.value as JobAction)}
      >
        {ACTIONS.map((it) => (
          <Radio key={it} value={it}>
            <span>{t(`handle.action.${it}`)}</span>
            <span className="muted">{t(`job.about.${it}`)}</span>
          </Radio>
        ))}
      </Radio.Group>
      <Remark value={remark} required={needsRemark} onChange={setRemark} />
      <Plan>
        <Loaded query={plan} lines={3}>
          {(it) =>
            it.findings === 0 ? (
              <p>{t("job.none")}</p>
            ) : (
              <Effects summary={it.summary} effects={it.effects} />
            )
          }
        </Loaded>
      </Plan>
      {begin.error && <Alert type="error" showIcon title={say(begin.error)} />}
    </Modal>
  );
}

/** Closing it does not stop the job: the handling history shows it too. */
function ProgressDialog({ id, onClose }: { id: string; onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <Modal
      open
      width={620}
      title={t("job.title")}
      okText={t("part.close")}
      cancelButtonProps={{ hidden: true }}
      onOk={onClose}
      onCancel={onClose}
    >
      <JobProgress id={id} />
      <p className="muted">{t("job.goes_on")}</p>
    </Modal>
  );
}
