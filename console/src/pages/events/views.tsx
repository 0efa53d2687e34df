// Filters that a person keeps under a name, on this browser.
import { CloseOutlined, SaveOutlined } from "@ant-design/icons";
import { Button, Input, Popover } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { setPrefs, usePrefs } from "../../prefs";
import { type EventsSearch, eventsSearch } from "../../search";

const NAME_MAX = 40;

interface Props {
  search: EventsSearch;
  onPick: (view: EventsSearch) => void;
}

export function Views({ search, onPick }: Props) {
  const { t } = useTranslation();
  const { views } = usePrefs();
  const [name, setName] = useState("");
  const { open: _, ...filters } = search;
  const save = () => {
    setPrefs({ views: { ...views, [name.trim()]: filters as Record<string, string> } });
    setName("");
  };
  return (
    <Popover
      trigger="click"
      placement="bottomRight"
      content={
        <div className="views">
          {Object.keys(views).length === 0 && <span className="muted">{t("events.no_views")}</span>}
          <ul>
            {Object.entries(views).map(([view, kept]) => (
              <li key={view}>
                {/* Read anew as if it had come from the URL: an old view may name what is gone. */}
                <Button type="link" size="small" onClick={() => onPick(eventsSearch(kept))}>
                  {view}
                </Button>
                <Button
                  type="text"
                  size="small"
                  icon={<CloseOutlined />}
                  aria-label={t("events.drop_view", { name: view })}
                  onClick={() => {
                    const { [view]: _, ...rest } = views;
                    setPrefs({ views: rest });
                  }}
                />
              </li>
            ))}
          </ul>
          <div className="inline-form">
            <Input
              size="small"
              style={{ width: 170 }}
              maxLength={NAME_MAX}
              aria-label={t("events.view_name")}
              placeholder={t("events.view_name")}
              value={name}
              onChange={(event) => setName(event.target.value)}
              onPressEnter={() => name.trim() && save()}
            />
            <Button
              size="small"
              disabled={!name.trim() || Object.keys(filters).length === 0}
              onClick={save}
            >
              {t("events.save_view")}
            </Button>
          </div>
        </div>
      }
    >
      <Button icon={<SaveOutlined />}>{t("events.views")}</Button>
    </Popover>
  );
}
