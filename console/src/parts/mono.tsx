import { CheckOutlined, CopyOutlined } from "@ant-design/icons";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { cutMiddle } from "../format";

const COPIED_MS = 1_500;

export function useCopy(text: string): { copied: boolean; copy: () => void } {
  const [copied, setCopied] = useState(false);
  return {
    copied,
    copy: () => {
      void writeClipboard(text).then(() => {
        setCopied(true);
        setTimeout(() => setCopied(false), COPIED_MS);
      });
    },
  };
}

/** The clipboard API needs https or localhost; the console may be reached by plain address. */
async function writeClipboard(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/** A path, id, hash or address: mono face, cut in the middle, copied by a click. */
export function Mono({ text, max = 64 }: { text: string; max?: number }) {
  const { t } = useTranslation();
  const { copied, copy } = useCopy(text);
  const shown = cutMiddle(text, max);
  return (
    <button
      type="button"
      className="mono copy"
      title={copied ? t("part.copied") : shown === text ? t("part.copy") : text}
      onClick={(event) => {
        event.stopPropagation();
        copy();
      }}
    >
      {shown}
      {copied ? <CheckOutlined /> : <CopyOutlined />}
    </button>
  );
}
