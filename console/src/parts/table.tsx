// The one list of the console: sticky head, fixed row height, only the visible rows drawn,
// rows chosen and walked by keyboard, columns hidden per person, pages loaded by request.
import { CaretDownOutlined, CaretUpOutlined, ControlOutlined } from "@ant-design/icons";
import { Button, Checkbox, Popover, Skeleton, Tooltip } from "antd";
import { type ReactNode, type UIEvent, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { formatNumber } from "../format";
import { useKeys } from "../keys";
import { setPrefs, usePrefs } from "../prefs";
import { Failed, Nothing } from "./states";

export interface Column<R> {
  id: string;
  title: string;
  /** One sentence on hover: what the value is. */
  about?: string;
  /** Pixels; columns without take what is left. */
  width?: number;
  /**
   * Pixels on a telephone. Where a list has such columns, those without are left out there, but
   * for the ones that take what is left.
   */
  slim?: number;
  end?: boolean;
  /** Hidden until chosen. */
  optional?: boolean;
  sortable?: boolean;
  render: (row: R) => ReactNode;
}

/** What a list needs of a query; infinite and single ones both fit. */
export interface Source<R> {
  rows: R[] | undefined;
  total?: { value: number; exact: boolean } | null | undefined;
  error: unknown;
  retry: () => void;
  more?: { load: () => void; loading: boolean } | undefined;
  /** Rows of the question before are still shown. */
  stale?: boolean;
}

interface Choice {
  ids: ReadonlySet<string>;
  set: (ids: Set<string>) => void;
}

interface Props<R> {
  /** Under which the choice of columns is kept. */
  name: string;
  label: string;
  columns: Column<R>[];
  source: Source<R>;
  rowKey: (row: R) => string;
  onOpen?: (row: R) => void;
  onHandle?: (row: R) => void;
  choice?: Choice;
  /** Shown as open beside the list. */
  current?: string | undefined;
  sort?: { column: string; order: "asc" | "desc" };
  onSort?: (column: string, order: "asc" | "desc") => void;
  empty: { title: string; hint?: string; action?: ReactNode };
  /** Beside the number of rows. */
  foot?: ReactNode;
}

/** Narrower boxes have no room for all columns. */
const SLIM_PX = 560;
const ROW_PX = 38;
/** Least width of a column that takes what is left; below it the list scrolls sideways. */
const FREE_PX = 160;
const OVERSCAN = 12;
const SKELETON_ROWS = 8;

export function Table<R>(props: Props<R>) {
  const { columns, source, rowKey, choice } = props;
  const { hidden } = usePrefs();
  const off = hidden[props.name] ?? columns.filter((it) => it.optional).map((it) => it.id);
  const rows = source.rows ?? [];
  const body = useRef<HTMLDivElement>(null);
  const [cursor, setCursor] = useState<string>();
  const span = useSpan(body, rows.length);
  useLoadAtEnd(span.atEnd, rows.length, source.more);
  const slim = span.width < SLIM_PX && columns.some((it) => it.slim);
  const shown: Column<R>[] = slim
    ? columns
        .filter((it) => it.slim || !it.width)
        .map(({ width: _, slim: width, ...it }) => (width ? { ...it, width } : it))
    : columns.filter((it) => !off.includes(it.id));
  const at = rows.findIndex((row) => rowKey(row) === cursor);
  const under = rows[at];

  const move = (step: number) => {
    const next = rows[Math.min(Math.max(at + step, 0), rows.length - 1)];
    if (!next) return;
    setCursor(rowKey(next));
    reveal(body.current, rows.indexOf(next));
  };
  const opens = under && props.onOpen ? [["Enter", () => props.onOpen?.(under)]] : [];
  useKeys({
    ...Object.fromEntries(opens),
    j: () => move(1),
    k: () => move(-1),
    ...(under && choice && { x: () => choice.set(toggled(choice.ids, rowKey(under))) }),
    ...(under && props.onHandle && { h: () => props.onHandle?.(under) }),
  });

  const failed = source.rows === undefined && Boolean(source.error);
  const blank = source.rows?.length === 0;
  const least = shown.reduce((sum, it) => sum + (it.width ?? (slim ? 0 : FREE_PX)), 0);
  return (
    <div className="table-box" data-stale={source.stale || undefined}>
      <section
        className="table-body"
        ref={body}
        onScroll={span.onScroll}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
        tabIndex={0}
        aria-label={props.label}
      >
        <table
          className="table"
          data-slim={slim || undefined}
          style={{ minWidth: least + (choice ? 40 : 0) }}
          aria-rowcount={source.total?.exact ? source.total.value + 1 : -1}
        >
          <colgroup>
            {choice && <col style={{ width: 40 }} />}
            {shown.map((it) => (
              <col key={it.id} style={it.width ? { width: it.width } : {}} />
            ))}
          </colgroup>
          <Head {...props} shown={shown} rows={rows} />
          <tbody>
            {span.before > 0 && <tr style={{ height: span.before }} />}
            {rows.slice(span.from, span.to).map((row, index) => {
              const id = rowKey(row);
              return (
                <tr
                  key={id}
                  aria-rowindex={span.from + index + 2}
                  data-cursor={id === cursor || undefined}
                  data-current={id === props.current || undefined}
                  data-chosen={choice?.ids.has(id) || undefined}
                  data-opens={props.onOpen ? true : undefined}
                  onClick={(event) => {
                    setCursor(id);
                    if (!isControl(event.target)) props.onOpen?.(row);
                  }}
                >
                  {choice && (
                    <td className="table-choice">
                      <Checkbox
                        aria-label={id}
                        checked={choice.ids.has(id)}
                        onChange={() => choice.set(toggled(choice.ids, id))}
                      />
                    </td>
                  )}
                  {shown.map((it) => (
                    <td key={it.id} className={it.end ? "end" : undefined}>
                      {it.render(row)}
                    </td>
                  ))}
                </tr>
              );
            })}
            {span.after > 0 && <tr style={{ height: span.after }} />}
            {source.rows === undefined && !failed && (
              <SkeletonRows columns={shown.length + (choice ? 1 : 0)} />
            )}
          </tbody>
        </table>
        {failed && <Failed error={source.error} onRetry={source.retry} />}
        {blank && (
          <Nothing title={props.empty.title} hint={props.empty.hint}>
            {props.empty.action}
          </Nothing>
        )}
      </section>
      {!blank && !failed && <Foot {...props} off={slim ? undefined : off} />}
    </div>
  );
}

function Head<R>(props: Props<R> & { shown: Column<R>[]; rows: R[] }) {
  const { choice, rows, rowKey, sort, onSort } = props;
  const { t } = useTranslation();
  const chosen = choice ? rows.filter((row) => choice.ids.has(rowKey(row))).length : 0;
  return (
    <thead>
      <tr>
        {choice && (
          <th className="table-choice" scope="col">
            <Checkbox
              aria-label={t("part.choose_all")}
              checked={chosen > 0 && chosen === rows.length}
              indeterminate={chosen > 0 && chosen < rows.length}
              onChange={() => choice.set(chosen > 0 ? new Set() : new Set(rows.map(rowKey)))}
            />
          </th>
        )}
        {props.shown.map((it) => {
          const order = sort?.column === it.id ? sort.order : undefined;
          const title = it.about ? (
            <Tooltip title={it.about}>
              <span>{it.title}</span>
            </Tooltip>
          ) : (
            it.title
          );
          return (
            <th
              key={it.id}
              scope="col"
              className={it.end ? "end" : undefined}
              aria-sort={
                order === "asc" ? "ascending" : order === "desc" ? "descending" : undefined
              }
            >
              {it.sortable && onSort ? (
                <button
                  type="button"
                  onClick={() => onSort(it.id, order === "desc" ? "asc" : "desc")}
                >
                  {title}
                  {order === "asc" ? (
                    <CaretUpOutlined />
                  ) : (
                    <CaretDownOutlined data-idle={!order || undefined} />
                  )}
                </button>
              ) : (
                title
              )}
            </th>
          );
        })}
      </tr>
    </thead>
  );
}

/** Without `off` nobody chooses columns: there is room for some only. */
function Foot<R>({ name, columns, source, off, foot }: Props<R> & { off: string[] | undefined }) {
  const { t } = useTranslation();
  const { language, hidden } = usePrefs();
  const count = source.rows?.length ?? 0;
  const { total, more } = source;
  const shown = formatNumber(count, language);
  const of = total ? formatNumber(total.value, language) : "";
  return (
    <div className="table-foot">
      <span className="muted">
        {!total || (total.exact && total.value <= count)
          ? t(more ? "part.rows_shown_so_far" : "part.rows", { count, shown })
          : t(total.exact ? "part.rows_of" : "part.rows_of_more", { shown, of })}
      </span>
      {more && (
        <Button size="small" loading={more.loading} onClick={more.load}>
          {t("part.load_more")}
        </Button>
      )}
      {foot}
      {off && (
        <Popover
          trigger="click"
          placement="topRight"
          content={
            <div className="table-columns">
              {columns.map((it) => (
                <Checkbox
                  key={it.id}
                  checked={!off.includes(it.id)}
                  disabled={!off.includes(it.id) && off.length === columns.length - 1}
                  onChange={() =>
                    setPrefs({ hidden: { ...hidden, [name]: [...toggled(new Set(off), it.id)] } })
                  }
                >
                  {it.title}
                </Checkbox>
              ))}
            </div>
          }
        >
          <Button size="small" type="text" icon={<ControlOutlined />} className="table-foot-end">
            {t("part.columns")}
          </Button>
        </Popover>
      )}
    </div>
  );
}

function SkeletonRows({ columns }: { columns: number }) {
  return Array.from({ length: SKELETON_ROWS }, (_, row) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: all alike and never moved
    <tr key={row}>
      {Array.from({ length: columns }, (_, column) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: all alike and never moved
        <td key={column}>
          <Skeleton.Node active style={{ width: "70%", height: 12 }} />
        </td>
      ))}
    </tr>
  ));
}

/** Which rows to draw, the height of those left out, and how wide the box is. */
function useSpan(body: React.RefObject<HTMLDivElement | null>, count: number) {
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(800);
  const [width, setWidth] = useState(Number.POSITIVE_INFINITY);
  useEffect(() => {
    const box = body.current;
    if (!box || typeof ResizeObserver === "undefined") return;
    const observer = new ResizeObserver(() => {
      setHeight(box.clientHeight);
      setWidth(box.clientWidth);
    });
    observer.observe(box);
    return () => observer.disconnect();
  }, [body]);
  const from = Math.max(0, Math.floor(top / ROW_PX) - OVERSCAN);
  const to = Math.min(count, Math.ceil((top + height) / ROW_PX) + OVERSCAN);
  return {
    from: Math.min(from, to),
    to,
    width,
    /** Nothing is left below what is drawn. */
    atEnd: top > 0 && to >= count,
    before: Math.min(from, to) * ROW_PX,
    after: Math.max(0, count - to) * ROW_PX,
    onScroll: (event: UIEvent<HTMLElement>) => setTop(event.currentTarget.scrollTop),
  };
}

/** Whoever scrolls to the end gets the next page, asked for once; the button stays for failures. */
function useLoadAtEnd(atEnd: boolean, count: number, more: Source<unknown>["more"]): void {
  const asked = useRef(0);
  useEffect(() => {
    if (!atEnd || !more || more.loading || asked.current === count) return;
    asked.current = count;
    more.load();
  }, [atEnd, count, more]);
}

function reveal(box: HTMLElement | null, index: number): void {
  if (!box) return;
  const top = index * ROW_PX;
  // The sticky head covers the first row's height.
  if (top < box.scrollTop) box.scrollTop = top;
  else if (top + 2 * ROW_PX > box.scrollTop + box.clientHeight)
    box.scrollTop = top + 2 * ROW_PX - box.clientHeight;
}

function toggled(ids: ReadonlySet<string>, id: string): Set<string> {
  const next = new Set(ids);
  if (!next.delete(id)) next.add(id);
  return next;
}

const isControl = (target: EventTarget): boolean =>
  target instanceof Element && target.closest("a, button, input, label") !== null;
