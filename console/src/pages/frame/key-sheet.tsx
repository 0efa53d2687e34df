import { Modal } from "antd";
import { useTranslation } from "react-i18next";

const KEYS = [
  ["/", "search"],
  ["j k", "move"],
  ["x", "select"],
  ["Enter", "open"],
  ["h", "handle"],
  ["g d", "dashboard"],
  ["g s", "servers"],
  ["g a", "assets"],
  ["g e", "events"],
  ["g r", "response"],
  ["g t", "detections"],
  ["?", "sheet"],
] as const;

export function KeySheet({ open, onClose }: { open: boolean; onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <Modal open={open} onCancel={onClose} footer={null} title={t("keys.title")} width={420}>
      <dl className="key-sheet">
        {KEYS.map(([keys, id]) => (
          <div key={id}>
            <dt>
              {keys.split(" ").map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{t(`keys.${id}`)}</dd>
          </div>
        ))}
      </dl>
    </Modal>
  );
}
