import { CheckOutlined, CopyOutlined } from "@ant-design/icons";
import { Button } from "antd";
import { useTranslation } from "react-i18next";
import { useCopy } from "./mono";

interface Props {
  label: string;
  text: string;
}

/** Something to copy whole: a command, or a secret that is shown only once. */
export function Secret({ label, text }: Props) {
  const { t } = useTranslation();
  const { copied, copy } = useCopy(text);
  return (
    <figure className="secret">
      <figcaption>{label}</figcaption>
      <div>
        <code>{text}</code>
        <Button icon={copied ? <CheckOutlined /> : <CopyOutlined />} onClick={copy}>
          {copied ? t("part.copied") : t("part.copy")}
        </Button>
      </div>
    </figure>
  );
}
